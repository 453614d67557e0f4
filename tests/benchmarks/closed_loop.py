"""A closed-loop load that saturates one server: each connection sends its next request when it has its answer.

Cheap per request and blind to answers beyond status and length, so that the server is the bottleneck; for latencies
under a given rate there is `open_loop`.
"""

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast

import uvloop


class LoadError(Exception):
    """The server answered with something else than 200, or could not be reached."""


@dataclass(frozen=True)
class Request:
    """What every connection sends, again and again."""

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        given = {"Host": "127.0.0.1", "User-Agent": "bench", "Accept": "*/*", **self.headers}
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return "\r\n".join(lines).encode()


FRONT_PAGE = Request()


def saturate(
    port: int, *, connections: int, seconds: float, request: Request = FRONT_PAGE, own: bool = False
) -> tuple[int, float]:
    """Answers counted and seconds it took; with `wrk` if there is one, else with a loop of our own.

    Raises:
        LoadError: an answer was not 200, or nobody listens.
    """
    if shutil.which("wrk") and not own:
        return _wrk(port, connections, seconds, request)
    return uvloop.run(_own(port, connections, seconds, request.to_bytes()))


class _Connection(asyncio.Protocol):
    """One client. Where the server closes after an answer, as gunicorn's sync worker does, it connects anew."""

    def __init__(self, port: int, request: bytes) -> None:
        self.answers = 0
        self.wrong: str | None = None
        self._port = port
        self._request = request
        self._stopped = False
        self._received = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)
        except OSError as error:
            self.wrong = repr(error)

    def stop(self) -> None:
        self._stopped = True
        if self._transport is not None:
            self._transport.close()
        if self._task is not None:
            self._task.cancel()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._received.clear()
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        head_end = received.find(b"\r\n\r\n")
        if head_end < 0:
            return
        head = bytes(received[: head_end + 2]).lower()
        if not head.startswith(b"http/1.1 200"):
            self.wrong = repr(bytes(received[:200]))
            self.stop()
            return
        if len(received) >= head_end + 4 + _content_length(head):
            self._answered(closes=b"\r\nconnection: close\r\n" in head)

    def _answered(self, *, closes: bool) -> None:
        self.answers += 1
        self._received.clear()
        assert self._transport is not None
        if closes:
            self._transport.close()
        elif not self._stopped:
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if self._stopped:
            return
        if self._received or error is not None:
            self.wrong = f"lost in mid-answer: {error!r}"
            return
        self._task = asyncio.get_running_loop().create_task(self.connect())


def _content_length(head: bytes) -> int:
    start = head.index(b"\r\ncontent-length: ") + 18
    return int(head[start : head.index(b"\r", start)])


async def _own(port: int, connections: int, seconds: float, request: bytes) -> tuple[int, float]:
    clients = [_Connection(port, request) for _ in range(connections)]
    for client in clients:
        await client.connect()
    started = time.perf_counter()
    before = sum(client.answers for client in clients)
    await asyncio.sleep(seconds)
    answers = sum(client.answers for client in clients) - before
    elapsed = time.perf_counter() - started
    for client in clients:
        client.stop()
    wrong = next((client.wrong for client in clients if client.wrong), None)
    if wrong:
        raise LoadError(f"port {port}: {wrong}")
    return answers, elapsed


def _wrk(port: int, connections: int, seconds: float, request: Request) -> tuple[int, float]:
    url = f"http://127.0.0.1:{port}{request.path}"
    headers = [part for name, value in request.headers.items() for part in ("-H", f"{name}: {value}")]
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", *headers, url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise LoadError(f"port {port}: {output}")
    answers, elapsed = re.search(r"(\d+) requests in ([\d.]+)s", output).groups()  # type: ignore[union-attr]
    return int(answers), float(elapsed)
