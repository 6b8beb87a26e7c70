"""Words from data, names and configurations stay words: in the page, on a terminal and in a model's card."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from rich.console import Console

from bistil_ray.cli import console as room
from bistil_ray.cli.main import main
from bistil_ray.config import RunConfig
from bistil_ray.dashboard.page import write_report
from bistil_ray.errors import DataError
from bistil_ray.export.card import model_card
from bistil_ray.export.origin import Origin
from bistil_ray.results.records import read_records
from bistil_ray.terminal import visible

MakeRun = Callable[..., Path]
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def test_the_page_holds_them_as_data_alone(hostile: str, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, langs=["sw", hostile], teachers=[hostile, "small"], done=9, reason=hostile)
    config = {"langs": ["sw", hostile], "teachers": [hostile], "label_map": {hostile: hostile}, hostile: hostile}
    (run / "config.yaml").write_text(json.dumps(config))
    write_report(run, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    assert not set("<>&") & set(held[1])
    data = json.loads(held[1])
    assert hostile in data["run"]["teachers"].values() and hostile in data["run"]["languages"]
    assert json.dumps(hostile) in json.dumps(data["steps"])
    assert page.count("</script>") == 1 + page.count("<script>")


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What reaches a terminal, of which rich believes that it obeys codes."""
    shown = io.StringIO()
    made = room._console

    def on_terminal(stderr: bool) -> Console:
        console = made(stderr)
        console.file, console._force_terminal, console.width = shown, True, 3000
        return console

    monkeypatch.setattr(room, "_console", on_terminal)
    return shown


def without_styles(shown: io.StringIO) -> str:
    """What was shown, less the codes that rich itself writes: bold, reset, and those of a spinner."""
    return re.sub(r"\x1b\[(?:[0-9;]*m|\?25[hl]|2K|1A|[0-9;]*H)", "", shown.getvalue()).replace("\r", "")


def test_a_table_shows_them(hostile: str, terminal: io.StringIO) -> None:
    room.print_table(("word", "n"), [(hostile, "1"), ("plain", "2")], right=["n"])
    shown = without_styles(terminal)
    assert not OBEYED.search(shown)
    assert visible(hostile).split("\n")[0] in shown
    assert "\x1b[31m" not in terminal.getvalue() and "\x1b[3;31m" not in terminal.getvalue()


def test_a_spinner_shows_them(hostile: str, terminal: io.StringIO) -> None:
    with room.working(hostile):
        pass
    assert not OBEYED.search(without_styles(terminal))


def test_an_error_shows_them_in_one_line(
    hostile: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(place: str) -> None:
        raise DataError(f"{place} has the label {hostile}")

    monkeypatch.setattr("bistil_ray.results.records.read_records", refuse)
    assert main(["results", "here"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: here has the label ") and err.count("\n") == 1
    assert not OBEYED.search(err.rstrip("\n"))


@pytest.mark.parametrize("flag", ["--task", "--set", "--nothing", "--workers"])
def test_what_was_typed_is_repeated_harmlessly(hostile: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--langs", "sw", flag, hostile]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: ") and err.count("\n") == 1
    assert not OBEYED.search(err.rstrip("\n"))


def test_a_corpus_check_shows_them(hostile: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for lang, text in (("sw", f"{hostile} habari ya leo"), ("en", f"{hostile} the news of today")):
        pq.write_table(pa.table({"text": [text] * 30}), tmp_path / f"{lang}.parquet")
    assert main(["corpus", "check", str(tmp_path), "--langs", "sw"]) == 0
    out, err = capsys.readouterr()
    assert "repeat an earlier one" in out
    assert not OBEYED.search((out + err).replace("\n", ""))


def test_results_show_them(hostile: str, make_run: MakeRun, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = make_run(tmp_path, langs=[hostile], teachers=[hostile], recipes=["bistil", "scratch"])
    other = make_run(tmp_path / "other", langs=["sw"], task_data=hostile)
    shown = ["results", str(run), "--compare", str(other)]
    assert main(shown) == 0
    records = [{**json.loads(line), "metric": hostile} for line in (run / "results.jsonl").read_text().splitlines()]
    (run / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    assert main(shown[:2]) == 0
    assert not OBEYED.search(capsys.readouterr().out.replace("\n", ""))


def test_a_card_shows_them(hostile: str, bert_folder: Path, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, langs=["sw"], teachers=[hostile])
    places = dict.fromkeys(("corpora", "task_data"), hostile)
    config = {"langs": ["sw"], "teachers": [hostile], "label_map": {hostile: "O"}, **places}
    origin = Origin(read_records(run)[-1], read_records(run), RunConfig.model_validate(config))
    card = model_card(bert_folder, origin)
    front, _, body = card.removeprefix("---\n").partition("---\n")
    about = yaml.safe_load(front)
    assert set(about) == {"language", "license", "library_name", "pipeline_tag", "tags"}
    assert not OBEYED.search(card.replace("\n", ""))
    outside = re.sub(r"`[^`\n]*`", "", body.partition("## How to use it")[0])
    assert not re.search(r"(?<!\\)<(?:img|b|script|/script|!--)", outside)
    headings = [line for line in body.partition("## How to use it")[0].splitlines() if line.startswith("#")]
    assert len(headings) == 4
