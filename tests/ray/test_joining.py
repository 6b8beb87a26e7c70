"""Joining a running cluster: without its token it refuses, and `ray job submit` takes the command line as it is."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from bistil_ray.results.records import read_records
from bistil_ray.train.allocator import ENVIRONMENT

BIN = Path(sys.executable).parent
DEADLINE = 300


@dataclass(frozen=True)
class Head:
    """A head node in processes of its own: where it listens, and the environment of a user who has its token."""

    address: str
    jobs: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head with token authentication on free ports, its files in a short path, since sockets are among them."""
    folder = Path(tempfile.mkdtemp(prefix="bistil-"))
    (folder / "token").write_text("0123456789abcdef0123456789abcdef")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"HOME": str(folder), "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
    environment |= {"RAY_AUTH_TOKEN_PATH": str(folder / "token")}
    gcs, dashboard, agent, metrics, client = (str(port) for port in free_ports(5))
    command = [BIN / "ray", "start", "--head", "--block", "--num-cpus=3", f"--temp-dir={folder}", f"--port={gcs}"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--metrics-export-port={metrics}", f"--ray-client-server-port={client}", "--dashboard-host=127.0.0.1"]
    command += ["--object-store-memory=100000000", "--node-ip-address=127.0.0.1"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
    try:
        yield Head(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", environment)
    finally:
        ended = [*psutil.Process(process.pid).children(recursive=True), psutil.Process(process.pid)]
        for one in ended:
            with suppress(psutil.NoSuchProcess):  # it may have ended just now
                one.kill()
        psutil.wait_procs(ended)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def submit(head: Head, *words: str, runtime_env: str = "{}", **changed: str) -> subprocess.CompletedProcess[str]:
    """Run ``ray job submit`` until the head, which may still be starting, has taken the job or refused it."""
    command = [BIN / "ray", "job", "submit", "--address", head.jobs, "--runtime-env-json", runtime_env, "--", *words]
    for _ in range(60):
        ended = subprocess.run(
            command, env=head.environment | changed, capture_output=True, text=True, timeout=DEADLINE
        )
        if not any(words in ended.stdout + ended.stderr for words in ("No available agent", "Failed to connect")):
            return ended
    raise AssertionError(ended.stdout + ended.stderr)


@pytest.mark.slow
def test_a_job_sweeps_on_the_cluster_it_was_submitted_to(
    head: Head, tiny_settings: dict[str, Any], bert_folder: Path, tmp_path: Path
) -> None:
    settings = {**tiny_settings, "teachers": [str(bert_folder)], "storage": str(tmp_path / "runs"), "name": "job"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(settings))
    words = [str(BIN / "bistil-ray"), "sweep", "--config", str(tmp_path / "config.yaml"), "--yes"]
    ended = submit(head, *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "on 3 CPU core(s)" in ended.stdout, "it started a cluster of its own instead of joining the one at hand"
    assert {record.recipe for record in read_records(tmp_path / "runs" / "job")} == {"teacher", "bistil"}


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{}, ENVIRONMENT, {"GLIBC_TUNABLES": ""}], ids=["none", "the same", "another"])
def test_workers_have_the_allocators_settings_unless_the_job_has_its_own(
    head: Head, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "job.py").write_text(
        "import os, ray\n"
        "from bistil_ray.distributed.joining import join\n"
        "join('auto')\n"
        "print('workers have', repr(ray.get(ray.remote(os.getenv).remote('GLIBC_TUNABLES'))))\n"
    )
    ended = submit(head, sys.executable, str(tmp_path / "job.py"), runtime_env=json.dumps({"env_vars": environment}))
    assert f"workers have {(ENVIRONMENT | environment)['GLIBC_TUNABLES']!r}" in ended.stdout, (
        ended.stdout + ended.stderr
    )


@pytest.mark.slow
@pytest.mark.parametrize("token", ["", "fedcba9876543210fedcba9876543210"], ids=["none", "a wrong one"])
def test_without_the_token_a_job_is_refused(head: Head, token: str, tmp_path: Path) -> None:
    given = {"RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    ended = submit(head, "touch", str(tmp_path / "was-here"), **given)
    assert ended.returncode != 0
    assert "token" in (ended.stdout + ended.stderr).lower()
    assert not (tmp_path / "was-here").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"RAY_AUTH_MODE": ""}, "RAY_AUTH_MODE is not set; set RAY_AUTH_MODE=token and put the cluster's token into"),
        ({"RAY_AUTH_TOKEN": "fedcba9876543210fedcba9876543210"}, "refuses the token of this process"),
    ],
)
def test_joining_with_no_token_or_another_one_ends_in_one_line(head: Head, changed: dict[str, str], says: str) -> None:
    submit(head, "true")  # it is up now
    ended = join(head.address, head.environment | changed)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: --address '{head.address}'") and ended.stderr.count("\n") == 1
    assert says in ended.stderr


def test_where_nothing_listens_it_is_said_at_once() -> None:
    ended = join(f"127.0.0.1:{free_ports(1)[0]}", {**os.environ, "RAY_AUTH_MODE": "disabled"})
    assert ended.returncode == 2
    assert "no Ray head answers there (unavailable)" in ended.stderr


def test_the_address_for_jobs_is_not_one_to_join() -> None:
    ended = join("http://127.0.0.1:8265", dict(os.environ))
    assert ended.returncode == 2
    assert "ray job submit --address http://127.0.0.1:8265 -- bistil-ray sweep" in ended.stderr


def join(address: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Join a cluster in a process of its own, as a sweep does, and tell its error as the command line does."""
    script = (
        "import sys\n"
        "from bistil_ray.errors import BistilError\n"
        "from bistil_ray.distributed.joining import join\n"
        "try:\n"
        "    join(sys.argv[1])\n"
        "except BistilError as error:\n"
        "    sys.exit(print(f'error: {error}', file=sys.stderr) or 2)\n"
    )
    command = [sys.executable, "-c", script, address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=DEADLINE)
