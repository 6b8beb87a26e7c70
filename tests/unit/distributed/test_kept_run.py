"""The folder of a run in a bucket: what cannot be published now is published later, and the end is not missed."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bistil_ray.distributed.keeping import KeptRun
from bistil_ray.errors import StorageError


def test_a_bucket_that_is_away_for_a_while_does_not_end_a_run(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def fail(*names: Any, **options: Any) -> None:
        raise StorageError("s3://bucket/runs: SLOW_DOWN")

    kept = KeptRun(SimpleNamespace(fetch=lambda names: None, publish=fail), tmp_path / "mine")
    with caplog.at_level(logging.WARNING):
        kept.publish(pause=1e-9)
    assert "published later: s3://bucket/runs: SLOW_DOWN" in caplog.text
    with pytest.raises(StorageError, match="SLOW_DOWN"):
        kept.publish()
