"""The server gives the page and its data to this machine's browser and nothing else to anyone."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from http.client import HTTPMessage
from pathlib import Path

import pytest

from bistil_ray.dashboard import server as room
from bistil_ray.dashboard.files import open_run_files
from bistil_ray.dashboard.gather import RunReader
from bistil_ray.dashboard.server import Dashboard
from bistil_ray.errors import StorageError


@pytest.fixture
def served(
    make_run: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, Dashboard]]:
    """A run under way and a server that reads it at every question."""
    monkeypatch.setattr(room, "REREAD_SECONDS", -1.0)
    run = make_run(tmp_path, done=9)
    with Dashboard(RunReader(open_run_files(str(run)))) as dashboard:
        thread = threading.Thread(target=dashboard.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield run, dashboard
        dashboard.shutdown()
        thread.join()


def ask(address: str, method: str = "GET", **headers: str) -> tuple[int, HTTPMessage, str]:
    request = urllib.request.Request(address, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.headers, refused.read().decode()


def test_the_page_and_its_data_are_served_fresh(served: tuple[Path, Dashboard]) -> None:
    run, dashboard = served
    status, headers, page = ask(dashboard.address)
    assert (status, headers["Cache-Control"], headers["X-Content-Type-Options"]) == (200, "no-store", "nosniff")
    assert 'data-mode="live"' in page
    before = json.loads(ask(f"{dashboard.address}data.json")[2])["counts"]
    for key in ("status.json", "plan.json"):
        assert (run / key).exists()
    (folder,) = [
        path.parent for path in run.parent.glob("steps/*/metrics.jsonl") if not (path.parent / "DONE").exists()
    ][:1]
    (folder / "result.json").write_text('{"started": 1, "finished": 2}')
    (folder / "DONE").write_text("")
    after = json.loads(ask(f"{dashboard.address}data.json")[2])["counts"]
    assert after["done"] == before["done"] + 1


@pytest.mark.parametrize(
    "path", ["plan.json", "../config.yaml", "..%2fconfig.yaml", "data.json?x", "steps/", "page/data.js"]
)
def test_no_other_path_leads_anywhere(served: tuple[Path, Dashboard], path: str) -> None:
    assert ask(served[1].address + path)[0] == 404


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_done_but_reading(served: tuple[Path, Dashboard], method: str) -> None:
    for path in ("", "data.json", "plan.json"):
        status, headers, text = ask(served[1].address + path, method)
        assert (status, headers["Allow"], text) == (405, "GET", "")


def test_a_name_that_leads_here_by_a_trick_is_refused(served: tuple[Path, Dashboard]) -> None:
    port = served[1].server_port
    for name in ("evil.example", f"evil.example:{port}", f"localhost.evil.example:{port}", f"0.0.0.0:{port}"):
        assert ask(served[1].address, Host=name)[0] == 403
    assert ask(served[1].address, Host=f"localhost:{served[1].server_port}")[0] == 200


def test_it_listens_on_this_machine_alone(served: tuple[Path, Dashboard]) -> None:
    assert served[1].server_address[0] == "127.0.0.1"


def test_a_record_that_is_none_is_told_as_an_error(served: tuple[Path, Dashboard]) -> None:
    run, dashboard = served
    (run / "results.jsonl").write_text('{"step": 3}\n')
    status, _, text = ask(f"{dashboard.address}data.json")
    assert status == 500
    assert "is no record" in text


def test_a_port_that_is_taken_is_a_mistake_that_names_the_flag(served: tuple[Path, Dashboard]) -> None:
    run, dashboard = served
    with pytest.raises(StorageError, match="--port"):
        Dashboard(RunReader(open_run_files(str(run))), dashboard.server_port)
