"""The page in a real browser: what it shows is what the run holds, with no error and no request to anywhere."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.cli.main import main
from bistil_ray.dashboard.page import write_report
from bistil_ray.models.heads import new_model
from bistil_ray.models.loading import load_tokenizer
from bistil_ray.results.records import read_records
from bistil_ray.results.tables import best_per_language

MakeRun = Callable[..., Path]
LARGEST_PAGE = 8_000_000
LATEST_PAINT = 2000  # milliseconds
EVERY_LANGUAGE = "sw yo ha ig am zu xh rw sn wo".split()

DRAWN = "[...document.querySelectorAll('main .figure')].every((figure) => figure.querySelector('.main-svg'))"
HEADINGS = (
    "return [...document.querySelectorAll('main section:not([hidden]) h2')].map((heading) => heading.textContent)"
)
SUMMARY = "return [...document.querySelectorAll('#status .mark')].map((mark) => mark.textContent)"


@pytest.fixture
def look(browser: Any, tmp_path: Path) -> Callable[[Path], Any]:
    """A function showing a run's page in a window so high that every figure is drawn."""

    def open_page(run: Path) -> Any:
        write_report(run, tmp_path / "report.html")
        browser.open((tmp_path / "report.html").as_uri())
        browser.resize(1280, 9000)
        browser.until(DRAWN)
        return browser

    return open_page


def clean(browser: Any) -> None:
    """Nothing was complained of, and nothing but the file itself was asked for."""
    assert browser.complaints() == []
    assert {address.split("#")[0].rsplit("/", 1)[-1] for address in browser.requests()} <= {"report.html"}


def test_a_run_without_a_student_says_so(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path, done=0))
    assert browser.run(HEADINGS) == [
        "Status and budget", "The best student of each language", "Learning curves", "Every student and step"
    ]  # fmt: skip
    assert "No student has been scored yet" in browser.run("return document.getElementById('best').textContent")
    assert browser.run("return document.querySelectorAll('#steps tbody tr').length") == 0
    clean(browser)


def test_a_run_with_one_student_shows_it(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path, langs=["sw"], teachers=["big"], densities=[0.1]))
    assert browser.run("return document.querySelectorAll('#steps tbody tr').length") == 1
    assert "Too few students to tell" in browser.run("return document.getElementById('importance').textContent")
    clean(browser)


def test_counts_and_choices_are_those_of_the_run(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(tmp_path, recipes=["bistil", "scratch"])
    browser = look(run)
    assert browser.run(SUMMARY) == ["40 done"]
    assert len(browser.run(HEADINGS)) == 8
    best = best_per_language(read_records(run))
    shown = browser.run("return [...document.querySelectorAll('#best tbody strong')].map((cell) => cell.textContent)")
    assert sorted(shown) == sorted(f"{record.score:.3f}" for record in best.values())
    points = browser.run(
        "return document.querySelectorAll('#front-bytes .scatterlayer .trace')[0].querySelectorAll('.point').length"
    )
    assert points == 12
    assert browser.run("return document.querySelectorAll('#heat .figure').length") == 2
    assert browser.run("return document.querySelectorAll('#steps tbody tr').length") == 24
    clean(browser)


def test_failures_and_hostile_words_are_shown_as_words(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    reason = "</script><img src=x onerror=\"document.title='broken'\"><b>bold</b>"
    browser = look(make_run(tmp_path, teachers=["<b>big</b>", "<i onclick=x>small"], done=12, reason=reason))
    assert browser.run("return document.querySelector('#status code').textContent") == reason
    assert browser.run("return document.querySelectorAll('main b, main i, img').length") == 0
    assert "1 failed" in browser.run(SUMMARY)
    assert browser.run("return document.title") == "made-up · bistil-ray"
    clean(browser)


def test_filters_reach_every_view(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path))
    browser.run("document.querySelector('#filters [data-name=lang] input').click()")
    browser.run("document.querySelector('#filters [data-name=teacher] input').click()")
    browser.until(DRAWN)
    assert browser.run("return document.querySelectorAll('#best tbody tr').length") == 1
    assert browser.run("return document.querySelectorAll('#heat .figure').length") == 1
    assert browser.run("return document.querySelectorAll('#steps tbody tr').length") == 3
    assert (
        browser.run("return document.querySelector('#filters [data-name=lang] summary').textContent")
        == "Languages: 1 of 2"
    )
    clean(browser)


def test_a_step_opens_by_keyboard_and_by_its_address_and_closes(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path))
    browser.run("document.querySelector('#steps tbody button').focus()")
    for kind in ("keyDown", "keyUp"):
        browser.command(
            "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", windowsVirtualKeyCode=13, text="\r"
        )
    browser.until("document.getElementById('step').open")
    title, address = browser.run("return [document.getElementById('step-title').textContent, location.href]")
    assert "Swahili" in title or "Yoruba" in title
    browser.run("document.querySelector('#step .close').click()")
    browser.until("!document.getElementById('step').open && !location.hash")
    browser.open("about:blank")
    browser.open(address)
    browser.until("document.getElementById('step').open")
    assert browser.run("return document.getElementById('step-title').textContent") == title
    clean(browser)


def test_sorting_and_leafing_show_every_student_once(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path, densities=[n / 100 for n in range(1, 11)]))
    keys = "return [...document.querySelectorAll('#steps tbody button')].map((button) => button.dataset.step)"
    browser.run("document.querySelector('[data-sort=latency_ms]').click()")
    assert (
        browser.run("return document.querySelector('#steps th[aria-sort]').getAttribute('aria-sort')") == "descending"
    )
    first = browser.run(keys)
    browser.run("document.querySelector('[data-leaf=Next]').click()")
    second = browser.run(keys)
    assert (len(first), len(second), len({*first, *second})) == (25, 15, 40)


@pytest.fixture
def two_teachers(toy_settings: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    """The settings of a run with two teachers, ``one`` and ``two``, and task teachers that are given for both."""
    first = Path(toy_settings["teachers"][0])
    places = [str(shutil.copytree(first, tmp_path / name)) for name in ("one", "two")]
    new_model("token-classification", first, ["B-LOC", "B-PER", "O"], seed=0).save_pretrained(tmp_path / "tagger")
    load_tokenizer(first).save_pretrained(tmp_path / "tagger")
    given = {"one": str(tmp_path / "tagger"), places[1]: str(tmp_path / "tagger")}
    return {**toy_settings, "teachers": places, "task_teacher": given}


MERGED = {"assignments": [{"en": "one", "sw": "two"}, {"en": "one", "sw": "one"}], "body": "one"}


@pytest.mark.parametrize(
    "changed",
    [
        {"densities": [0.02, 0.08], "seeds": [0, 1], "layers": [1, 2]},
        {"adapt": {"enabled": True}},
        {"recipes": ["bistil", "mergedistill", "teacher"], "merge": MERGED, "task_teacher": None},
    ],
)
def test_the_command_shown_plans_that_very_step(
    changed: dict[str, Any],
    look: Any,
    two_teachers: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from bistil_ray.config import RunConfig, to_yaml
    from bistil_ray.inputs import gather_facts
    from bistil_ray.planning.plan import make_plan

    config = RunConfig.model_validate({**two_teachers, "name": "toy", **changed})
    plan, run = make_plan(config, gather_facts(config)), tmp_path / "runs" / "toy"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(to_yaml(config))
    (run / "plan.json").write_text(json.dumps(plan.to_dict()))
    browser = look(run)
    monkeypatch.chdir(tmp_path)
    # The last of each kind and language.
    places = {(step.kind, step.about.get("lang")): place for place, step in enumerate(plan)}
    for (kind, _), place in places.items():
        command = browser.run("openStep(arguments[0]); return document.querySelector('#step pre').textContent", place)
        capsys.readouterr()
        assert main([*shlex.split(command)[1:], "--plan", "--json"]) == 0
        again = json.loads(capsys.readouterr().out)["steps"]
        assert plan.steps[place].key in {step["key"] for step in again}, command
        assert kind != "finetune" or [step["kind"] for step in again].count("finetune") == 1


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (360, "dark"), (1280, "dark")])
def test_it_fits_a_phone_and_a_dark_room(look: Any, make_run: MakeRun, tmp_path: Path, width: int, scheme: str) -> None:
    browser = look(make_run(tmp_path))
    browser.resize(width, 9000)
    browser.prefer(scheme)
    browser.until(DRAWN)
    assert browser.run("return document.documentElement.scrollWidth") == width
    dark = browser.run("return getComputedStyle(document.body).backgroundColor") == "rgb(18, 23, 29)"
    assert dark == (scheme == "dark")
    clean(browser)


@pytest.mark.slow
def test_five_thousand_students_are_no_burden(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path, EVERY_LANGUAGE, ["big", "small", "a/base", "b/base"], [2, 3, 4, 6, 8], [0.01, 0.02, 0.08, 0.16, 0.32],
        seeds=range(5),
    )  # fmt: skip
    browser = look(run)
    assert (tmp_path / "report.html").stat().st_size < LARGEST_PAGE
    assert "5,000 rows" in browser.run("return document.querySelector('#steps .headline').textContent")
    assert browser.run("return document.querySelectorAll('#steps tbody tr').length") == 25
    painted = browser.run("return performance.getEntriesByName('first-contentful-paint')[0].startTime")
    assert painted < LATEST_PAINT
    clean(browser)


def test_teachers_whose_places_end_alike_stay_apart(look: Any, make_run: MakeRun, tmp_path: Path) -> None:
    browser = look(make_run(tmp_path, teachers=("a/mbert", "b/mbert"), langs=("sw",)))
    assert (
        browser.run("return heatCells(current.students, ['a/mbert', 'b/mbert'], [0.08]).flat().filter(Boolean).length")
        == 2
    )
    layout = "heatFigure(current.students, ['a/mbert', 'b/mbert'], [0.08], [0, 1]).layout.yaxis"
    assert browser.run(f"return {layout}.ticktext") == ["a/mbert", "b/mbert"]
    command = "return reproduce(current, current.steps.findLast((step) => step.teacher === arguments[0]))"
    for teacher in ("a/mbert", "b/mbert"):
        assert f"--teachers {teacher} " in browser.run(command, teacher)
