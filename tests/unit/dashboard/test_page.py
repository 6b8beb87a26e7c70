"""The page is one file that holds everything and that nothing in the data can break."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from bistil_ray.dashboard.page import SCRIPTS, render_page, to_script, write_report

MakeRun = Callable[..., Path]
NASTY = "</script><script>alert(1)</script><!-- {{scripts}} & \u2028"


@pytest.fixture
def page(make_run: MakeRun, tmp_path: Path) -> str:
    """The page of a run whose failure has a nasty reason."""
    write_report(make_run(tmp_path, done=9, reason=NASTY), tmp_path / "out" / "report.html")
    return (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_data_come_back_as_they_went_in(page: str) -> None:
    held = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert held is not None
    steps = json.loads(held[1])["steps"]
    assert NASTY in json.dumps(steps, ensure_ascii=False)
    assert "alert(1)</script>" not in page


def test_nothing_is_fetched_and_only_the_pages_own_scripts_run(page: str) -> None:
    own = page[: page.index("plotly.js v")]
    assert not re.search(r'\b(src|href)="(?!#|data:,)', own)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    directives = dict(part.strip().split(" ", 1) for part in policy[1].split(";"))
    assert directives["default-src"] == directives["connect-src"] == "'none'"
    assert directives["script-src"].count("'sha256-") == len(SCRIPTS) + 1 == page.count("<script>")
    assert "unsafe" not in directives["script-src"]


def test_a_live_page_may_ask_where_it_came_from(make_run: MakeRun, tmp_path: Path) -> None:
    data = {"run": {"name": "{{data}}<b>"}}
    live, still = render_page(data, live=True), render_page(data)
    assert "connect-src 'self'" in live and "connect-src 'none'" in still
    assert 'data-mode="live"' in live and 'data-mode="file"' in still
    assert "<title>{{data}}&lt;b&gt; · bistil-ray</title>" in still


def test_every_script_of_the_folder_is_in_the_page() -> None:
    import bistil_ray.dashboard

    folder = Path(bistil_ray.dashboard.__file__).parent / "page"
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)


def test_numbers_that_json_does_not_know_are_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_script({"loss": float("nan")})
