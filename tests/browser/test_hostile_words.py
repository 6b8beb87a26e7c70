"""Words that want to be scripts, in every place where a run has words: the page shows them, and nothing runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from bistil_ray.dashboard.page import write_report

MakeRun = Callable[..., Path]
SCRIPT = "window.broken = true"
WORDS = (
    f'</script><img src=x onerror="{SCRIPT}"><svg onload=\'{SCRIPT}\'><a href="javascript:{SCRIPT}">a</a>\u2028${{1}}`'
)


def test_nothing_executes(browser: Any, make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(
        tmp_path,
        langs=["sw", WORDS],
        teachers=[WORDS, "small"],
        recipes=["bistil", WORDS],
        layers=[1, 2],
        reason=WORDS,
        done=30,
    )
    plan = json.loads((run / "plan.json").read_text())
    for step in plan["steps"]:
        step["settings"] |= {WORDS: WORDS, "label_map": {WORDS: WORDS}}
        step["inputs"][WORDS] = WORDS
    (run / "plan.json").write_text(json.dumps(plan))
    records = [json.loads(line) for line in (run / "results.jsonl").read_text().splitlines()]
    hostile = [{**record, "metric": WORDS, "task": WORDS, "source": WORDS, "model_dir": WORDS} for record in records]
    (run / "results.jsonl").write_text("".join(json.dumps(record) + "\n" for record in hostile))
    (run / "config.yaml").write_text(
        yaml.safe_dump({"langs": ["sw", WORDS], "teachers": [WORDS], "task": WORDS, WORDS: 1})
    )
    write_report(run, tmp_path / "report.html")
    browser.open((tmp_path / "report.html").as_uri())
    browser.resize(1280, 9000)
    browser.until("document.querySelectorAll('main .figure .main-svg').length > 3")
    for place in range(3):
        browser.run("openStep(arguments[0])", place)
    assert browser.run("return window.broken") is None
    assert (
        browser.run("return document.querySelectorAll('img, main a[href^=javascript], svg[onload], [onerror]').length")
        == 0
    )
    links = "return [...document.querySelectorAll('a')].map((link) => link.href.baseVal ?? link.href)"
    assert not [address for address in browser.run(links) if "script:" in address]
    assert WORDS in browser.run("return document.querySelector('main').textContent")
    assert not [line for line in browser.complaints() if "Content Security" not in line]
