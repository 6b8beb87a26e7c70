"""``bistil-ray doctor`` says what works here, and never fails itself."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import pytest

from bistil_ray.cli import checks

Bistil = Callable[..., tuple[int, str, str]]


def test_the_report_covers_versions_devices_memory_disk_ray_and_hub(bistil: Bistil, tmp_path: Path) -> None:
    code, out, err = bistil("doctor", "--json", "--storage", str(tmp_path / "runs"))
    assert (code, err) == (0, "")
    findings = {entry["check"]: entry for entry in json.loads(out)}
    assert {"python", "torch", "ray", "ray parts", "cpu", "cpu bf16", "gpu", "memory", "storage"} <= set(findings)
    assert findings["torch"]["found"] == metadata.version("torch")
    assert findings["ray parts"]["state"] == "ok"
    assert findings["storage"]["state"] != "problem"
    assert "HF_HUB_OFFLINE" in findings["model hub"]["found"]
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written_is_a_problem_and_no_crash(bistil: Bistil, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, out, _ = bistil("doctor", "--storage", str(tmp_path / "file" / "runs"))
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("storage"))
    assert "problem" in line
    assert "--storage" in line


@pytest.mark.parametrize("place", ["ftp://host/runs", "hf://datasets/a/b"])
def test_a_storage_that_a_sweep_refuses_is_a_problem(bistil: Bistil, place: str) -> None:
    out = bistil("doctor", "--storage", place)[1]
    assert "problem" in next(line for line in out.splitlines() if line.startswith("storage"))


def test_a_missing_library_is_a_problem_and_no_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(checks, "LIBRARIES", ("no-such-library",))
    found = {finding.check: finding for finding in checks.examine(str(tmp_path))}
    assert found["no-such-library"].state == "problem"


def test_a_hub_that_does_not_answer_is_a_note(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    hub = checks.examine(str(tmp_path))[-1]
    assert (hub.check, hub.state) == ("model hub", "note")
    assert "http://127.0.0.1:9 cannot be reached" in hub.found


def test_a_bucket_is_tried(bistil: Bistil, bucket: str) -> None:
    for place, state in ((bucket, "ok"), (bucket.replace("//bucket", "//nobody"), "problem")):
        findings = {line["check"]: line for line in json.loads(bistil("doctor", "--storage", place, "--json").stdout)}
        assert findings["storage"]["state"] == state


def test_the_trace_of_a_killed_ray_cluster_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    (tmp_path / "ray").mkdir()
    trace = tmp_path / "ray" / "ray_current_cluster"

    def found() -> list[tuple[str, str]]:
        findings = checks.examine(str(tmp_path))
        return [(finding.state, finding.found) for finding in findings if finding.check == "ray cluster"]

    assert found() == []
    with socket.create_server(("127.0.0.1", 0)) as head:
        address = f"127.0.0.1:{head.getsockname()[1]}"
        trace.write_text(address)
        assert found() == [("ok", f"one answers at {address}: a sweep joins it with --address {address}")]
    ((state, words),) = found()
    assert state == "note"
    assert f"nothing answers at {address}, which {trace} names" in words and "`ray stop`" in words
