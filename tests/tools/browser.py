"""Debian's Chromium without a window, by its DevTools protocol: one JSON object a message, ended by a zero byte, over
file descriptors 3 and 4. Run as a program it takes a picture of a page:

    tests/tools/browser.py PAGE.html PICTURE.png [WIDTH [light|dark]]
"""
from __future__ import annotations

import base64
import contextlib
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any, Iterator, Optional

PATIENCE = 60  # seconds for an answer


def find() -> Optional[str]:
    return shutil.which("chromium")


class Tab:
    """A page that is open, and what the browser complained about."""

    def __init__(self, to_browser: int, from_browser: int):
        self.to_browser, self.from_browser = to_browser, from_browser
        self.rest = b""
        self.number = 0
        self.session: Optional[str] = None
        self.complaints: list[str] = []
        self.loaded = 0

    def message(self) -> dict[str, Any]:
        """The next message of the browser."""
        end = time.monotonic() + PATIENCE
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.from_browser], [], [], max(0.0, end - time.monotonic()))
            more = os.read(self.from_browser, 1 << 16) if ready else b""
            if not more:
                raise RuntimeError("chromium does not answer")
            self.rest += more
        text, self.rest = self.rest.split(b"\0", 1)
        found = json.loads(text)
        if found.get("method") in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled"):
            self.complaints.append(json.dumps(found["params"]))
        self.loaded += found.get("method") == "Page.loadEventFired"
        return found

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.number += 1
        call = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            call["sessionId"] = self.session
        os.write(self.to_browser, json.dumps(call).encode() + b"\0")
        while True:
            found = self.message()
            if found.get("id") == self.number:
                if "error" in found:
                    raise RuntimeError(f"{method}: {found['error']}")
                return found["result"]

    def open(self, path: pathlib.Path, width: int, scheme: str) -> None:
        """Show a page at a width, in a light or dark scheme."""
        self.ask("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        before = self.loaded
        self.ask("Page.navigate", url=path.resolve().as_uri())
        while self.loaded == before:
            self.message()

    def evaluate(self, expression: str) -> Any:
        return self.ask("Runtime.evaluate", expression=expression, returnByValue=True)["result"].get("value")

    def picture(self) -> bytes:
        """The whole page as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(answer["data"])


@contextlib.contextmanager
def tab() -> Iterator[Tab]:
    """A browser with one tab; ended afterwards."""
    to_browser, from_browser = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--no-first-run",
                   "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={home}/profile", "about:blank"]
        command = f'exec "$0" "$@" 3<&{to_browser[0]} 4>&{from_browser[1]}'
        process = subprocess.Popen(["bash", "-c", command, find() or "chromium", *options], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, pass_fds=(to_browser[0], from_browser[1]),
                                   env={**os.environ, "HOME": home})
        os.close(to_browser[0])
        os.close(from_browser[1])
        try:
            one = Tab(to_browser[1], from_browser[0])
            target = one.ask("Target.createTarget", url="about:blank")["targetId"]
            one.session = one.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Log", "Runtime"):
                one.ask(f"{domain}.enable")
            yield one
        finally:
            process.terminate()
            process.wait()
            os.close(to_browser[1])
            os.close(from_browser[0])


def main() -> None:
    page, out, *rest = sys.argv[1:]
    width, scheme = [*rest, *("1280", "light")[len(rest):]]
    with tab() as one:
        one.open(pathlib.Path(page), int(width), scheme)
        pathlib.Path(out).write_bytes(one.picture())


if __name__ == "__main__":
    main()
