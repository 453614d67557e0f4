"""A closed-loop load that saturates one server: each connection sends its next request when it has its response.

Cheap per request and blind to answers beyond status and length, so that the server is the bottleneck; for latencies
under a given rate there is `open_loop`.
"""

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

import uvloop

_END_SECONDS: Final = 20.0


class LoadError(Exception):
    """The server answered with another status than was expected, or could not be reached."""


@dataclass(frozen=True)
class Request:
    """What every connection sends, again and again."""

    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200
    """The answer that it should get."""
    addresses: int = 1
    """From how many addresses of this machine connections come, in turn: so many clients."""

    def to_bytes(self) -> bytes:
        given = {"Host": "127.0.0.1", "User-Agent": "bench", "Accept": "*/*", **self.headers}
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in given.items()), "", ""]
        return "\r\n".join(lines).encode()


FRONT_PAGE = Request()


def saturate(port: int, *, connections: int, seconds: float, request: Request = FRONT_PAGE) -> tuple[int, float]:
    """Answers counted and seconds it took. Leaves no request behind for the server to work off.

    Raises:
        LoadError: a response had another status, or nobody listens.
    """
    return uvloop.run(_saturate(port, connections, seconds, request))


class _Connection(asyncio.Protocol):
    """One client. Where the server closes after a response, as gunicorn's sync worker does, it connects anew."""

    def __init__(self, port: int, request: Request, number: int) -> None:
        self.answers = 0
        self.wrong: str | None = None
        self.ended = asyncio.Event()
        self._port = port
        self._request = request.to_bytes()
        self._expected = f"http/1.1 {request.status}".encode()
        self._from = f"127.0.0.{1 + number % request.addresses}"
        self._stopped = False
        self._received = bytearray()
        self._connecting: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None

    async def connect(self) -> None:
        try:
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: self, "127.0.0.1", self._port, local_addr=(self._from, 0))
        except OSError as error:
            self._fail(repr(error))

    def stop(self) -> None:
        """No request after the one under way."""
        self._stopped = True

    def close(self) -> None:
        self._stopped = True
        if self._transport is not None:
            self._transport.close()

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
        if not head.startswith(self._expected):
            self._fail(repr(bytes(received[:200])))
        elif len(received) >= head_end + 4 + _content_length(head):
            self._answered(closes=b"\r\nconnection: close\r\n" in head)

    def _answered(self, *, closes: bool) -> None:
        self.answers += 1
        self._received.clear()
        assert self._transport is not None
        if closes or self._stopped:
            self._transport.close()
        else:
            self._transport.write(self._request)

    def connection_lost(self, error: Exception | None) -> None:
        if self._stopped:
            self.ended.set()
        elif self._received or error is not None:
            self._fail(f"lost in mid-answer: {error!r}")
        else:
            self._connecting = asyncio.get_running_loop().create_task(self.connect())

    def _fail(self, reason: str) -> None:
        self.wrong = self.wrong or reason
        self.ended.set()
        self.close()


def _content_length(head: bytes) -> int:
    start = head.index(b"\r\ncontent-length: ") + 18
    return int(head[start : head.index(b"\r", start)])


async def _saturate(port: int, connections: int, seconds: float, request: Request) -> tuple[int, float]:
    clients = [_Connection(port, request, number) for number in range(connections)]
    for client in clients:
        await client.connect()
    started = time.perf_counter()
    before = sum(client.answers for client in clients)
    await asyncio.sleep(seconds)
    answers = sum(client.answers for client in clients) - before
    elapsed = time.perf_counter() - started
    await _end(clients)
    wrong = next((client.wrong for client in clients if client.wrong), None)
    if wrong:
        raise LoadError(f"port {port}: {wrong}")
    return answers, elapsed


async def _end(clients: list[_Connection]) -> None:
    for client in clients:
        client.stop()
    with suppress(TimeoutError):
        async with asyncio.timeout(_END_SECONDS):
            for client in clients:
                await client.ended.wait()
    for client in clients:
        client.close()
