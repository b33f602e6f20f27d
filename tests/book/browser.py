"""A headless Chromium on a pipe: open a page at a given width and theme, ask it things, take its picture."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any

FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars "
    "--remote-debugging-pipe"
)


def executable() -> str | None:
    """Chromium's path, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Browser:
    """One page in one browser; DevTools messages go over file descriptors 3 and 4."""

    def __init__(self, path: str) -> None:
        self.profile = tempfile.mkdtemp(prefix="chromium-")
        read_end, self._write = os.pipe()
        self._read, write_end = os.pipe()
        # The shell puts our two pipe ends where Chromium expects them, whatever their numbers are here.
        command = f'exec "$0" {FLAGS} --user-data-dir="$1" 3<&{read_end} 4>&{write_end}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, path, self.profile],
            pass_fds=(read_end, write_end),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(read_end)
        os.close(write_end)
        self._buffer = b""
        self._number = 0
        self._session = ""
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._process.terminate()
        self._process.wait(20)
        os.close(self._read)
        os.close(self._write)
        shutil.rmtree(self.profile, ignore_errors=True)

    def _message(self, seconds: float) -> Any:
        """The next message, noting requests and script errors on the way."""
        end = time.monotonic() + seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            chunk = os.read(self._read, 1 << 20) if ready else b""
            if not chunk:
                raise TimeoutError("Chromium did not answer")
            self._buffer += chunk
        text, self._buffer = self._buffer.split(b"\0", 1)
        message = json.loads(text)
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown":
            details = message["params"]["exceptionDetails"]
            text = details.get("exception", {}).get("description", details["text"])
            self.errors.append(f"{details.get('url', '')}: {text.splitlines()[0]}")
        return message

    def call(self, method: str, patience_s: float = 300, **parameters: Any) -> Any:
        """One DevTools command and its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._message(patience_s)
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']['message']}")
                return answer["result"]

    def open(self, page: Path, *, width: int, theme: str, height: int = 900) -> None:
        """Load a page from disk at a width in pixels, in the ``light`` or the ``dark`` theme."""
        self.requests.clear()
        self.errors.clear()
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        script = f"try {{ localStorage.mode = localStorage.theme = '{theme}' }} catch (e) {{}}"
        identifier = self.call("Page.addScriptToEvaluateOnNewDocument", source=script)["identifier"]
        self.call("Page.navigate", url=page.resolve().as_uri())
        while self._message(300).get("method") != "Page.loadEventFired":
            pass
        self.call("Page.removeScriptToEvaluateOnNewDocument", identifier=identifier)
        # Equations are drawn after the page has loaded.
        self.evaluate("window.MathJax && MathJax.startup ? MathJax.startup.promise.then(() => 1) : 1")

    def evaluate(self, expression: str) -> Any:
        """The JSON value of a JavaScript expression (a promise is waited for)."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']['text']}")
        return result["result"].get("value")

    def picture(self, target: Path, *, whole: bool = False) -> None:
        """Save what is seen (or the whole page) as PNG."""
        data = self.call("Page.captureScreenshot", captureBeyondViewport=whole)["data"]
        target.write_bytes(base64.b64decode(data))

    def print(self, target: Path) -> None:
        """Save the page as PDF."""
        data = self.call("Page.printToPDF", patience_s=400, printBackground=True)["data"]
        target.write_bytes(base64.b64decode(data))
