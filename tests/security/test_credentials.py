"""Credentials in places and settings are refused without being repeated, and those in the environment stay there."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from bistil_ray.cli import main as command_line
from bistil_ray.cli.main import main
from bistil_ray.config_sources import load_config
from bistil_ray.credentials import holds_credentials, masked
from bistil_ray.dashboard.page import write_report
from bistil_ray.distributed.launch import _end_of
from bistil_ray.distributed.sweep import open_run
from bistil_ray.errors import DataError
from bistil_ray.inputs import gather_facts
from bistil_ray.planning.plan import make_plan
from bistil_ray.steps import run as running

SECRETS = ("wJalrXUtnFEMI/K7MDENG+bPx", "hunter2", "hf_abcdefghijklmnopqrstuvwxyz")
HOLDING = (
    f"s3://AKIAIOSFODNN7EXAMPLE:{SECRETS[0]}@bucket/corpora",
    f"https://somebody:{SECRETS[1]}@example.org/data",
    f"s3://{SECRETS[1]}@bucket/x",
    f"s3://bucket/x?region=eu&secret_key={SECRETS[1]}",
    f"https://example.org/x?X-Amz-Signature={SECRETS[1]}",
    f"abfss://account:{SECRETS[1]}@container/x",
    f"ray://{SECRETS[1]}@head:10001",
    SECRETS[2],
    f"models/{SECRETS[2]}/x",
)


@pytest.mark.parametrize("place", HOLDING)
def test_no_secret_is_left_where_it_was(place: str) -> None:
    assert holds_credentials(place)
    assert not any(secret in masked(f"cannot open {place!r}, or {place}") for secret in SECRETS)
    assert not any(secret in str(DataError(f"{place} cannot be read")) for secret in SECRETS)


@pytest.mark.parametrize(
    "place",
    [
        "s3://bucket/a/b?region=eu-west-1", "gs://anonymous@bucket/x", "hf://datasets/org/name@main/data", "hf_model",
        "abfss://container@account.dfs.core.windows.net/x", "s3://bucket?endpoint_override=http://localhost:9000",
        "ray://head:10001", "127.0.0.1:6379", "a@b.org", "models/big", "/data/x@y", "http://host:80/x@y",
        "org/name@main", "token frequency=3", "shf_abcdefghijklmnopqrstuvwxyz",
        "max_tokens=512", "pad_token='[PAD]'", "key='name'", "secret: none",
        "set HF_TOKEN, AWS_ACCESS_KEY_ID or AWS_SECRET_ACCESS_KEY",
    ],
)  # fmt: skip
def test_a_place_without_secrets_stays_as_it_is(place: str) -> None:
    assert masked(place) == place


SAID_BY_LIBRARIES = (
    f"AWS Error NETWORK_CONNECTION: http://key:{SECRETS[1]}@10.0.0.7:9000/bucket/part.parquet",
    f"Could not reach https://blob.core.windows.net/x?sv=2024&sig={SECRETS[1]}&se=1",
    f"S3FileSystem(anon=False, key='x', secret_key='{SECRETS[0]}')",
    f"DefaultEndpointsProtocol=https;AccountName=me;AccountKey={SECRETS[0]};EndpointSuffix=core.windows.net",
    f"request failed: headers={{'Authorization': 'Bearer {SECRETS[1]}', 'User-Agent': 'x'}}",
    f"401 for token {SECRETS[2]}",
    f"AWS_SECRET_ACCESS_KEY={SECRETS[0]} password: {SECRETS[1]}",
)


@pytest.mark.parametrize("said", SAID_BY_LIBRARIES)
def test_a_step_that_fails_in_a_library_tells_no_secrets(said: str, tmp_path: Path) -> None:
    def body() -> dict[str, Any]:
        with running._logging_to(tmp_path / "log.txt"):
            logging.getLogger("bistil_ray.anything").warning("trying again: %s", said)
            raise RuntimeError(said) from OSError(said)

    end = _end_of(body)
    assert end["state"] == "failed"
    written = str(end) + (tmp_path / "log.txt").read_text()
    assert "trying again" in written
    assert "***" in end["error"]
    assert "***" in end["details"]
    assert not any(secret in written for secret in SECRETS)


def test_a_fault_shows_its_traceback_without_secrets_or_orders_to_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def break_down() -> None:
        raise RuntimeError("\x1b[2J".join(SAID_BY_LIBRARIES))

    monkeypatch.setattr(command_line, "make_app", break_down)
    assert main(["doctor"]) == 1
    shown = capsys.readouterr().err
    assert "RuntimeError: AWS Error" in shown
    assert "break_down" in shown
    assert not any(hidden in shown for hidden in (*SECRETS, "\x1b"))


COMMANDS = (
    ("sweep", "--langs", "sw", "--corpora", "{}", "--plan"),
    ("sweep", "--langs", "sw", "--teachers", "{}"),
    ("sweep", "--langs", "sw", "--task-data", "{}"),
    ("sweep", "--langs", "sw", "--storage", "{}"),
    ("sweep", "--langs", "sw", "--address", "{}"),
    ("sweep", "--langs", "sw", "--name", "{}"),
    ("sweep", "--langs", "{}"),
    ("sweep", "--set", "corpora={}"),
    ("sweep", "--set", "corpra={}"),
    ("sweep", "--set", "{}"),
    ("sweep", "--set", "task_teacher={{big: '{}'}}"),
    ("sweep", "--config", "{}"),
    ("configs", "validate", "mine.yaml"),
    ("distill", "--teacher", "{}", "--lang", "sw", "--corpora", "x", "--out", "x"),
    ("corpus", "check", "{}", "--langs", "sw"),
    ("corpus", "build", "{}", "--lang", "sw", "--out", "x"),
    ("evaluate", "{}", "--task-data", "x", "--langs", "sw"),
    ("results", "{}"),
    ("dashboard", "{}"),
    ("export", "{}", "--out", "x"),
    ("export", "x", "--out", "x", "--push", "{}"),
    ("bench", "{}"),
    ("doctor", "{}"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_no_command_repeats_them(
    words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for place, debug in ((HOLDING[0], ["--debug"]), (HOLDING[1], []), (HOLDING[-1], [])):
        Path("mine.yaml").write_text(yaml.safe_dump({"label_map": {"DATE": place}}))
        assert main([word.format(place) for word in words] + debug) == 2
        out, err = capfd.readouterr()
        assert "error: " in err
        assert not any(secret in out + err for secret in SECRETS)
        assert [file.name for file in tmp_path.rglob("*")] == ["mine.yaml"]


def test_the_error_says_where_they_belong(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--langs", "sw", "--corpora", HOLDING[0]]) == 2
    said = "error: --corpora holds credentials: give them by the environment, such as AWS_ACCESS_KEY_ID,"
    assert capsys.readouterr().err.startswith(said)


def test_those_of_the_environment_are_in_no_file(
    toy_settings: dict[str, Any], make_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("HF_TOKEN", SECRETS[2])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    monkeypatch.setenv("HF_ENDPOINT", f"https://somebody:{SECRETS[1]}@127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    config = load_config(None, (), toy_settings)
    plan = make_plan(config, gather_facts(config))
    open_run(config, plan, tmp_path / "runs" / "mine")
    for run in (tmp_path / "runs" / "mine", make_run(tmp_path / "made")):
        write_report(run, run / "report.html")
    assert main(["doctor", "--storage", str(tmp_path)]) == 0
    out, err = capfd.readouterr()
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10
    assert not any(secret.encode() in text for secret in SECRETS for text in (*written, (out + err).encode()))
