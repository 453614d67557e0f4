"""Headless Chromium, driven over its DevTools protocol: pages as a person sees them, and their consoles' errors."""

import asyncio
import base64
import itertools
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

DEADLINE_SECONDS = 30.0


class Page:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Mapping[str, Any]]] = {}
        self.complaints: list[str] = []
        """Exceptions, and what was written to the console as an error or a warning, by the browser itself too."""

    async def listen(self) -> None:
        """Until the browser ends."""
        async for message in self._socket:
            told = message.json()
            if "id" in told:
                self._waiting.pop(told["id"]).set_result(told)
            elif told["method"] == "Runtime.exceptionThrown":
                self.complaints.append(str(told["params"]["exceptionDetails"]))
            elif told["method"] == "Runtime.consoleAPICalled" and told["params"]["type"] in ("error", "warning"):
                self.complaints.append(str(told["params"]["args"]))
            elif told["method"] == "Log.entryAdded" and told["params"]["entry"]["level"] in ("error", "warning"):
                self.complaints.append(str(told["params"]["entry"]))

    async def call(self, method: str, **parameters: Any) -> Mapping[str, Any]:
        """A command of the protocol and its result."""
        number = next(self._numbers)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(future, DEADLINE_SECONDS)
        assert "error" not in told, (method, told)
        result: Mapping[str, Any] = told["result"]
        return result

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page, awaited where it is a promise."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, condition: str, what: str) -> None:
        """Waits until an expression is true."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not await self.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < deadline, f"not within {DEADLINE_SECONDS:g} s: {what}"
            await asyncio.sleep(0.05)

    async def open(self, url: str) -> None:
        """Goes there and waits until it is all loaded."""
        await self.call("Page.navigate", url=url)
        await self.until(f"location.href === {url!r} && document.readyState === 'complete'", url)

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """The window's, in CSS pixels."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone
        )

    async def dark(self, *, on: bool = True) -> None:
        """What `prefers-color-scheme` says."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])

    async def press(self, key: str) -> None:
        """A key, down and up."""
        text = {"text": key} if len(key) == 1 else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key)

    async def screenshot(self, file: Path) -> None:
        """The whole page as a PNG."""
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def page(folder: Path) -> AsyncIterator[Page]:
    """An empty tab of a browser of its own; skips where there is none. CHROMIUM names the program, or is `none`."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    if program in (None, "none"):
        pytest.skip("chromium: no program `chromium` on PATH, nor in CHROMIUM")
    profile = folder / "profile"
    options = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
    more = ("--remote-debugging-port=0", f"--user-data-dir={profile}", "--disable-background-networking", "about:blank")
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [program, *options, *more], stdout=log, stderr=log, env={**os.environ, "HOME": str(folder)}
        )
    try:
        port = await _port(process, profile / "DevToolsActivePort", folder / "chromium.log")
        async with aiohttp.ClientSession() as session:
            async with session.get(f"http://127.0.0.1:{port}/json") as response:
                url = next(each["webSocketDebuggerUrl"] for each in await response.json() if each["type"] == "page")
            async with session.ws_connect(url, max_msg_size=0) as socket:
                found = Page(socket)
                listening = asyncio.create_task(found.listen())
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await found.call(f"{domain}.enable")
                yield found
                listening.cancel()
    finally:
        process.kill()
        process.wait()


async def _port(process: subprocess.Popen[bytes], file: Path, log: Path) -> int:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (file.exists() and file.read_text().count("\n")):
        assert process.poll() is None, log.read_text()[-2000:]
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        await asyncio.sleep(0.05)
    return int(file.read_text().split("\n")[0])
