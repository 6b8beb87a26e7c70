"""A headless Chromium, driven through chromedriver's own protocol: JSON over HTTP."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--window-size=1280,900",
]  # fmt: skip


BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A browser that all tests share."""
    binary = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if binary is None or shutil.which("chromedriver") is None:
        pytest.skip("no chromium or no chromedriver here: apt-get install -y chromium chromium-driver")
    with started(binary, tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture
def browser(chromium: Chromium) -> Chromium:
    """The browser as a new one: a desktop screen, light, an empty page, nothing logged."""
    chromium.resize(1280, 900)
    chromium.prefer("light")
    chromium.open("about:blank")
    chromium.complaints()
    chromium.requests()
    return chromium


class Chromium:
    """One window."""

    def __init__(self, session: str) -> None:
        """``session`` is the address of a session of chromedriver."""
        self._session = session

    def open(self, address: str) -> None:
        """Go to a page and come back when it has loaded."""
        self._post("url", {"url": address})

    def run(self, script: str, *arguments: object) -> Any:
        """Call ``script``, the body of a function of ``arguments``, in the page; a promise is waited for."""
        return self._post("execute/sync", {"script": script, "args": list(arguments)})

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until the expression ``condition`` holds; TimeoutError if it never does."""
        wait = f"""
            const end = Date.now() + arguments[0];
            const look = (say) => ({condition}) || Date.now() > end ? say({condition}) : setTimeout(look, 50, say);
            return new Promise(look);
        """
        if not self.run(wait, 1000 * seconds):
            raise TimeoutError(f"{condition} does not hold after {seconds} s")

    def command(self, name: str, **settings: object) -> Any:
        """Send a command of Chromium's own protocol, such as ``Emulation.setEmulatedMedia``."""
        return self._post("goog/cdp/execute", {"cmd": name, "params": settings})

    def resize(self, width: int, height: int) -> None:
        """Give the page the room of a screen of this size."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )

    def prefer(self, scheme: str) -> None:
        """Ask for ``light`` or ``dark``."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def complaints(self) -> list[str]:
        """What the console was told since the last time: errors and warnings, blocked requests among them."""
        entries = self._post("se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if entry["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Addresses that were asked for since the last time; ``data:`` and ``blob:`` ask nobody."""
        events = [json.loads(entry["message"])["message"] for entry in self._post("se/log", {"type": "performance"})]
        asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
        return [address for address in asked if not address.startswith(("data:", "blob:"))]

    def _post(self, what: str, body: dict[str, Any]) -> Any:
        return _post(f"{self._session}/{what}", body)


def _post(address: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as problem:
        raise RuntimeError(json.load(problem)["value"]["message"]) from problem


@contextmanager
def started(binary: str, profile: Path) -> Iterator[Chromium]:
    """Start a browser with the empty folder ``profile``."""
    driver = subprocess.Popen(
        ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        port = (
            next(line for line in driver.stdout if "successfully on port" in line).rsplit(" ", 1)[1].strip().rstrip(".")
        )
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"], "binary": binary}
        logs = {"browser": "ALL", "performance": "ALL"}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": logs}
        base = f"http://127.0.0.1:{port}/session"
        session = _post(base, {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
        try:
            yield Chromium(f"{base}/{session}")
        finally:
            urllib.request.urlopen(urllib.request.Request(f"{base}/{session}", method="DELETE")).close()
    finally:
        driver.terminate()
        driver.wait(20)
        driver.stdout.close()
