"""A folder reaches the hub, mistakes are told before the work, and the token is told to nobody."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError

from bistil_ray.errors import ConfigError, StorageError
from bistil_ray.export import publish

TOKEN = "hf_secret"


class Hub(ThreadingHTTPServer):
    """A hub on this machine: it keeps the files of commits, or refuses everything with ``refusal``."""

    refusal: int | None = None

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.files: dict[str, bytes] = {}
        self.tokens: set[str | None] = set()

    def api(self) -> HfApi:
        return HfApi(endpoint=self.address, token=TOKEN)

    def answer(self, path: str, body: bytes) -> dict[str, object]:
        if path == "/api/repos/create":
            asked = json.loads(body)
            return {"url": f"{self.address}/{asked['organization']}/{asked['name']}"}
        if path == "/api/models/me/mine/preupload/main":
            names = [file["path"] for file in json.loads(body)["files"]]
            return {"files": [{"path": name, "uploadMode": "regular", "shouldIgnore": False} for name in names]}
        if path == "/api/models/me/mine/commit/main":
            parts = [json.loads(line) for line in body.splitlines()]
            files = [part["value"] for part in parts if part["key"] == "file"]
            self.files |= {file["path"]: base64.b64decode(file["content"]) for file in files}
            return {"commitUrl": f"{self.address}/me/mine/commit/1", "commitOid": "1", "success": True}
        assert path == "/api/validate-yaml"
        return {"errors": [], "warnings": []}


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.tokens.add(self.headers["authorization"])
        answer = json.dumps({} if self.server.refusal else self.server.answer(self.path, body)).encode()
        self.send_response(self.server.refusal or 200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *words: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    with Hub() as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "README.md").write_text("---\nlicense: unknown\n---\nA card")
    (tmp_path / "model.onnx").write_bytes(b"graph")
    return tmp_path


def test_the_whole_folder_is_uploaded_to_a_repository_that_is_made(hub: Hub, folder: Path) -> None:
    assert publish.push(folder, "me/mine", hub.api) == f"{hub.address}/me/mine"
    assert hub.files == {file.name: file.read_bytes() for file in folder.iterdir()}
    assert hub.tokens == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_is_one_line_without_the_token(status: int, hub: Hub, folder: Path) -> None:
    hub.refusal = status
    with pytest.raises(StorageError, match=f"not pushed to 'me/mine': the hub answered {status}") as caught:
        publish.push(folder, "me/mine", hub.api)
    assert TOKEN not in str(caught.value) and hub.files == {}


@pytest.mark.parametrize("failure", [HTTPError(TOKEN), OSError(TOKEN)])
def test_a_hub_out_of_reach_is_no_crash(failure: Exception, folder: Path) -> None:
    class Nowhere:
        def create_repo(self, *words: object, **settings: object) -> None:
            raise failure

    with pytest.raises(StorageError, match=f"not pushed to 'me/mine': {type(failure).__name__}") as caught:
        publish.push(folder, "me/mine", Nowhere)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "token", "says"),
    [("mine", TOKEN, "names no owner"), ("me/mi ne", TOKEN, "is no repository"), ("me/mine", None, "hf auth login")],
)
def test_mistakes_are_told_before_any_work(
    name: str, token: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish, "get_token", lambda: token)
    with pytest.raises(ConfigError, match=says):
        publish.check_repository(name)


def test_a_good_name_and_a_token_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publish, "get_token", lambda: TOKEN)
    publish.check_repository("me/mine")
