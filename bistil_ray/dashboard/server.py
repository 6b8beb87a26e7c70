"""The page served on this machine alone while a run goes on: it fetches its data again every few seconds."""

from __future__ import annotations

import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ..errors import BistilError, StorageError
from .contents import page_data
from .gather import RunReader
from .page import render_page, to_script

HOST = "127.0.0.1"
REREAD_SECONDS = 2.0
"""The run's files are read at most so often, however many pages look at it."""


class Dashboard(ThreadingHTTPServer):
    """Serves two things: the page at ``/`` and its data at ``/data.json``."""

    daemon_threads = True

    def __init__(self, reader: RunReader, port: int = 0) -> None:
        """Listen on ``port``, any free one if 0; raises StorageError where it is taken."""
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as problem:
            raise StorageError(f"cannot serve on port {port}: {problem.strerror}; choose another --port") from problem
        self._reader, self._lock = reader, threading.Lock()
        self._data: dict[str, object] = {}
        self._read_at = float("-inf")

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/"

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """Say nothing of a page that was closed while it was loading."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def data(self) -> dict[str, object]:
        """Give the run's data, read anew if they are not fresh."""
        with self._lock:
            if time.monotonic() - self._read_at > REREAD_SECONDS:
                self._data = page_data(self._reader.read())
                self._read_at = time.monotonic()
            return self._data


class _Handler(BaseHTTPRequestHandler):
    server: Dashboard

    def do_GET(self) -> None:
        """Answer for the page and its data; everything else is not there."""
        # A page of another site may not read the run through a name of its own that leads here.
        if self.headers.get("Host") not in {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}:
            self.send_error(403)
            return
        try:
            if self.path == "/":
                self._send("text/html", render_page(self.server.data(), live=True))
            elif self.path == "/data.json":
                self._send("application/json", to_script(self.server.data()))
            else:
                self.send_error(404)
        except BistilError as problem:
            self.send_error(500, explain=str(problem))

    def _refuse(self) -> None:
        """Answer whoever wants something other than to read: method not allowed."""
        self.send_response(405)
        self.send_header("Allow", "GET")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = do_CONNECT = _refuse

    def _send(self, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *ignored: object) -> None:
        """Say nothing: the terminal is the user's."""
