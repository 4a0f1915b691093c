"""A headless Chromium driven over its own DevTools socket: no package beside our websockets."""

from __future__ import annotations

import base64
import contextlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

from benchmarks.harness.processes import end

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

PATIENCE = 150.0
"""Seconds: a busy machine takes its time."""
KEY_CODES = {
    "Tab": 9,
    "Enter": 13,
    "Escape": 27,
    " ": 32,
    "End": 35,
    "Home": 36,
    "ArrowLeft": 37,
    "ArrowUp": 38,
    "ArrowRight": 39,
    "ArrowDown": 40,
}
"""Windows' virtual codes: without one, what the browser itself does with a key does not happen."""


def browser_program() -> str | None:
    """Where Chromium is, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


class Tab:
    """One page of a browser.

    Attributes:
        complaints: what the page's console said as a warning or an error, and its exceptions.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """What a method of the DevTools protocol answers."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            message = json.loads(self._socket.recv(timeout=PATIENCE))
            if message.get("id") == self._number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        parameters = event.get("params", {})
        match event.get("method"):
            case "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                self.complaints.append(json.dumps(details.get("exception", details))[:500])
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning", "assert"):
                self.complaints.append(json.dumps(parameters["args"])[:500])
            case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                self.complaints.append(
                    f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}"
                )

    def open(self, address: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=address)

    def size(self, width: int, height: int, *, scale: float = 1.0, phone: bool = False) -> None:
        """Be so large, in CSS pixels."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
        )

    def value(self, expression: str) -> Any:
        """What a JavaScript expression is, awaited where it is a promise."""
        done = self.call(
            "Runtime.evaluate",
            expression=expression,
            returnByValue=True,
            awaitPromise=True,
            userGesture=True,
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def until(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Wait until an expression is true; its value then."""
        deadline = time.monotonic() + seconds
        while not (value := self.value(expression)):
            assert time.monotonic() < deadline, f"not within {seconds} s: {expression}"
            time.sleep(0.05)
        return value

    def press(self, key: str, *, shift: bool = False) -> None:
        """A real key, by its DOM name: what the browser itself does with it happens, too."""
        code = KEY_CODES.get(key, ord(key.upper()) if len(key) == 1 else 0)
        typed = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        event = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 8 if shift else 0}
        text = {"text": typed} if typed else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **event, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, x: float, y: float) -> None:
        """A click of the mouse there, in CSS pixels."""
        for kind in ("mousePressed", "mouseReleased"):
            where = {"x": x, "y": y, "button": "left", "clickCount": 1}
            self.call("Input.dispatchMouseEvent", type=kind, **where)

    def picture(self, path: Path | None = None) -> bytes:
        """What the page looks like: a PNG, also written to `path`."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return data


Tabs = Callable[[], contextlib.AbstractContextManager[Tab]]


@contextlib.contextmanager
def browser(folder: Path, *options: str) -> Iterator[Tabs]:
    """A running Chromium with its profile in `folder`; gives what opens tabs."""
    program = browser_program()
    assert program is not None, "the caller looks whether there is one"
    profile = folder / "profile"
    process = subprocess.Popen(
        [
            program,
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--remote-debugging-port=0",
            f"--user-data-dir={profile}",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--mute-audio",
            "--enable-unsafe-swiftshader",
            *options,
            "about:blank",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        told = profile / "DevToolsActivePort"
        deadline = time.monotonic() + PATIENCE
        while not (told.exists() and told.read_text().strip()):
            assert process.poll() is None and time.monotonic() < deadline, "Chromium did not start"
            time.sleep(0.05)
        port = told.read_text().split()[0]

        @contextlib.contextmanager
        def tab() -> Iterator[Tab]:
            from websockets.sync.client import connect

            opened = _json(f"http://127.0.0.1:{port}/json/new?about:blank")
            address = opened["webSocketDebuggerUrl"]
            with connect(address, max_size=None, compression=None, ping_interval=None) as socket:
                yield Tab(socket)
                socket.send(json.dumps({"id": 0, "method": "Page.close"}))

        yield tab
    finally:
        end(process, PATIENCE)


def _json(address: str) -> Any:
    with urlopen(Request(address, method="PUT"), timeout=30) as answer:
        return json.load(answer)
