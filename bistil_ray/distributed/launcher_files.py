"""Checking a launcher file offline: with Ray's own schema, which only Ray has, and then with our checks."""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from click import ClickException
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from ..config_sources import parse_yaml
from ..errors import BistilError, ConfigError
from ..launching.findings import Finding, check_filled_in, refuse
from ..launching.kuberay import check_kuberay
from ..launching.vms import check_vms

PROVIDERS = ("aws", "gcp", "azure", "local")


def check_launcher_file(file: Path) -> list[Finding]:
    """Check a file for ``ray up`` or a RayJob; raises ConfigError with file, field, value and what is allowed."""
    try:
        values = parse_yaml(file.read_text(encoding="utf-8"), repr(str(file)))
    except OSError as problem:
        raise ConfigError(f"{str(file)!r} cannot be read: {problem.strerror}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{str(file)!r} is not YAML: {problem}") from problem
    try:
        if not isinstance(values, dict):
            raise ConfigError(f"it must hold key: value pairs, but holds a {type(values).__name__}")
        filled_in = check_filled_in(values)
        if "kind" in values:
            return [filled_in, *check_kuberay(values)]
        return [filled_in, Finding("schema", "Ray's own"), *check_vms(_prepared(values))]
    except BistilError as problem:
        raise ConfigError(f"{file}: {problem}") from problem


def _prepared(values: dict[str, Any]) -> dict[str, Any]:
    """Fill in Ray's defaults, as ``ray up`` does, and check the result with Ray's schema."""
    provider = values.get("provider")
    kind = provider.get("type") if isinstance(provider, dict) else provider
    if kind not in PROVIDERS:
        raise refuse("provider.type", kind, f"must be one of {', '.join(PROVIDERS)}, or kind RayJob for Kubernetes")
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            prepared: dict[str, Any] = prepare_config(values)
            validate_config(prepared)
    except ValidationError as problem:
        field = ".".join(map(str, problem.absolute_path)) or "the file"
        raise refuse(field, problem.instance if field != "the file" else sorted(values), problem.message) from problem
    except (ClickException, AssertionError, KeyError, TypeError, AttributeError, ValueError) as problem:
        # Ray's preparation trusts the types of what it reads.
        raise ConfigError(f"Ray cannot read it: {type(problem).__name__}: {problem}") from problem
    return prepared
