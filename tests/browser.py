"""A real browser without a window, driven over the DevTools protocol: open a page, look, click, take its picture.

Any Chromium will do; `WAVETANK_BROWSER` names one that is not on the path. Knows none of our pages.
"""

import asyncio
import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
PATIENCE_S = 60.0
MIDDLE = """(() => {
  const e = ELEMENT;
  if (!e) return [];
  e.scrollIntoView({block: 'center', behavior: 'instant'});
  const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;
  return e.contains(document.elementFromPoint(x, y)) ? [x, y] : [];
})()"""


def browser_path() -> str:
    """The browser's program; the test is skipped where there is none."""
    named = os.environ.get("WAVETANK_BROWSER")
    found = [path for path in map(shutil.which, [named] if named else NAMES) if path]
    if not found:
        pytest.skip("no browser: install chromium, or name one in WAVETANK_BROWSER")
    return found[0]


class Browser:
    """One tab of a browser of its own, in a folder of its own."""

    def __init__(self, folder: Path, width: int = 1280, height: int = 800) -> None:
        self.errors: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._sent = 0
        self._log = (folder / "browser.log").open("wb")
        self._program = subprocess.Popen(
            [
                browser_path(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--no-first-run", "--disable-background-networking", "--remote-debugging-port=0",
                f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", "about:blank",
            ],
            stdout=self._log, stderr=self._log,
        )  # fmt: skip
        port_file = folder / "profile" / "DevToolsActivePort"
        wait_for(lambda: port_file.exists() and port_file.read_text().count("\n") >= 1, "the browser's port")
        self._loop.run_until_complete(self._attach(port_file.read_text().splitlines()[0]))
        self.resize(width, height)
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run_until_complete(self._session.close())
        self._loop.close()
        self._program.terminate()
        self._program.wait(30)
        self._log.close()

    def open(self, address: str) -> None:
        """Go to an address."""
        self._call("Page.navigate", url=address)

    def resize(self, width: int, height: int) -> None:
        """Give the page another window."""
        self._call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        told = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def text(self, selector: str) -> str:
        """What an element says, empty where there is none."""
        return str(self.run(f"document.querySelector({json.dumps(selector)})?.textContent ?? ''")).strip()

    def wait(self, script: str) -> None:
        """Wait until a JavaScript expression is true."""
        wait_for(lambda: bool(self.run(script)), script)

    def click(self, element: str) -> None:
        """Click with the mouse in the middle of an element, a JavaScript expression, once it lies still and free."""
        last: list[float] = []

        def lies_still() -> bool:
            nonlocal last
            before, last = last, self.run(MIDDLE.replace("ELEMENT", element))
            return last != [] and before == last

        wait_for(lies_still, f"{element} to lie still")
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=last[0], y=last[1], button="left", clickCount=1)

    def picture(self, path: Path) -> None:
        """Write what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self._call("Page.captureScreenshot")["data"]))

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._loop.run_until_complete(asyncio.wait_for(self._ask(method, parameters), PATIENCE_S))

    async def _attach(self, port: str) -> None:
        self._session = aiohttp.ClientSession()
        async with self._session.get(f"http://127.0.0.1:{port}/json/list") as answer:
            pages = [target for target in await answer.json() if target["type"] == "page"]
        self._socket = await self._session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)

    async def _ask(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == self._sent:
                assert "error" not in message, message
                return dict(message["result"])
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        """Keep what the page itself complains about: uncaught exceptions, and files that did not come."""
        said = message.get("params", {})
        if message["method"] == "Runtime.exceptionThrown":
            self.errors.append(json.dumps(said["exceptionDetails"])[:500])
        if message["method"] == "Network.loadingFailed" and not said.get("canceled"):
            self.errors.append(f"did not load: {said['errorText']}")
        if message["method"] == "Network.responseReceived" and said["response"]["status"] >= 400:
            self.errors.append(f"{said['response']['status']} {said['response']['url']}")


def wait_for(happened: Any, what: str, seconds: float = PATIENCE_S) -> None:
    """Look ten times a second until it has happened."""
    until = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < until, f"waited {seconds:g} s in vain for {what}"
        time.sleep(0.1)
