"""The served page follows the run: what ends while one looks is there without a reload."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bistil_ray.dashboard import server as room
from bistil_ray.dashboard.files import open_run_files
from bistil_ray.dashboard.gather import RunReader
from bistil_ray.dashboard.server import Dashboard

MakeRun = Callable[..., Path]
DONE_SHOWN = "document.querySelector('#status .mark.done')?.textContent"


@pytest.fixture
def follow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Dashboard]]:
    """A function serving a run, which is read at every question."""
    monkeypatch.setattr(room, "REREAD_SECONDS", -1.0)
    started: list[tuple[Dashboard, threading.Thread]] = []

    def serve(run: Path) -> Dashboard:
        dashboard = Dashboard(RunReader(open_run_files(str(run))))
        thread = threading.Thread(target=dashboard.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        started.append((dashboard, thread))
        return dashboard

    yield serve
    for dashboard, thread in started:
        dashboard.shutdown()
        thread.join()
        dashboard.server_close()


def finish(run: Path) -> None:
    """End the next running step as a sweep does."""
    folder = next(
        path.parent for path in run.parent.glob("steps/*/metrics.jsonl") if not (path.parent / "DONE").exists()
    )
    (folder / "result.json").write_text(json.dumps({"started": 1.0, "finished": 2.0}))
    (folder / "DONE").write_text("")


def shown(browser: Any, follow: Callable[[Path], Dashboard], run: Path) -> Dashboard:
    """Serve a run of 13 finished steps, and wait for its page."""
    dashboard = follow(run)
    browser.open(dashboard.address)
    browser.until(f"{DONE_SHOWN} === '13 done'")
    return dashboard


def test_a_step_that_ends_appears_and_the_readers_place_is_kept(
    browser: Any, follow: Callable[[Path], Dashboard], make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run(tmp_path, done=13)
    dashboard = shown(browser, follow, run)
    browser.run("window.untouched = true; document.querySelector('[data-sort=latency_ms]').click(); scrollTo(0, 700)")
    finish(run)
    browser.until(f"{DONE_SHOWN} === '14 done'")
    assert browser.run("return window.untouched && scrollY") == 700
    assert browser.run("return document.querySelector('#steps th[aria-sort] button').dataset.sort") == "latency_ms"
    assert browser.complaints() == []
    assert {address.removeprefix(dashboard.address) for address in browser.requests()} == {"", "data.json"}


def test_a_run_that_has_died_is_told_without_a_reload(
    browser: Any, follow: Callable[[Path], Dashboard], make_run: MakeRun, tmp_path: Path
) -> None:
    dashboard = shown(browser, follow, make_run(tmp_path, done=13))
    assert "nothing seems to run" not in browser.run("return document.getElementById('status').textContent")
    # As if hours had passed since anything was written: only the time at which the page looks is another one.
    dashboard.data = lambda data=dashboard.data: (found := data()) | {"run": found["run"] | {"written": 2e9 * 2}}
    browser.until("document.getElementById('status').textContent.includes('nothing seems to run')")


def test_a_server_that_has_gone_is_told(
    browser: Any, follow: Callable[[Path], Dashboard], make_run: MakeRun, tmp_path: Path
) -> None:
    dashboard = follow(make_run(tmp_path, done=9))
    browser.open(dashboard.address)
    dashboard.shutdown()
    dashboard.server_close()
    browser.until("document.getElementById('live').textContent.includes('has stopped')")
    assert browser.run("return document.querySelectorAll('#status .mark').length") > 1
