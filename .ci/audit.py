"""Dependencies with known holes, as pip-audit knows them.

Exits with 0 where none is known, 1 where some are, and 3 where the database could not be asked: then nothing is known.
What is not on pypi.org as it is installed, such as a build of torch, cannot be looked up, which is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

HOLES, NOT_ASKED = 1, 3
COMMAND = (
    sys.executable,
    "-m",
    "pip_audit",
    "--local",
    "--skip-editable",
    "--progress-spinner",
    "off",
    "--format",
    "json",
)


def judge(dependencies: list[dict[str, Any]]) -> int:
    """Print what is known of each dependency that is worth a line; give the exit code."""
    unknown = [found["name"] for found in dependencies if "skip_reason" in found]
    if len(unknown) == len(dependencies):
        print(
            "error: none of the dependencies is known where pip looks for packages: no audit was made", file=sys.stderr
        )
        return NOT_ASKED
    if unknown:
        print(f"not looked up: {', '.join(unknown)}")
    holes = [(found, hole) for found in dependencies for hole in found.get("vulns", ())]
    for found, hole in holes:
        print(
            f"{found['name']} {found['version']}: {hole['id']}, fixed in {', '.join(hole['fix_versions']) or 'nothing'}"
        )
    print(f"{len(dependencies) - len(unknown)} dependencies looked up, {len(holes)} known holes")
    return HOLES if holes else 0


def main() -> int:
    """Ask, and judge the answer."""
    asked = subprocess.run(COMMAND, capture_output=True, text=True)
    try:
        return judge(json.loads(asked.stdout)["dependencies"])
    except (ValueError, KeyError):
        said = (asked.stderr.strip().splitlines() or ["nothing"])[-1]
        print(f"error: no audit was made, for pypi.org cannot be asked: {said[:300]}", file=sys.stderr)
        return NOT_ASKED


if __name__ == "__main__":
    sys.exit(main())
