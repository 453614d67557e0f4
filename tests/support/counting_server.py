"""A small HTTP server that counts the connections open to it, of all of its kind together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

ANSWER_SECONDS = 0.003
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Count:
    """Connections of several servers, as these see them."""

    open: int = 0
    highest: int = 0
    opened: int = 0


class _Connection(asyncio.Protocol):
    def __init__(self, count: Count) -> None:
        self._count = count
        self._counted = False
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counted = True
        self._count.opened += 1
        self._count.open += 1
        self._count.highest = max(self._count.highest, self._count.open)

    def data_received(self, data: bytes) -> None:
        *requests, self._tail = (self._tail + data).split(b"\r\n\r\n")
        for request in requests:
            _, path, _ = request.split(b" ", 2)
            seconds = float(path[1:] or ANSWER_SECONDS)
            asyncio.get_running_loop().call_later(seconds, self._answer)

    def eof_received(self) -> None:
        self._forget()  # the client has closed its end

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()

    def _forget(self) -> None:
        self._count.open -= self._counted
        self._counted = False

    def _answer(self) -> None:
        if not self._transport.is_closing():
            self._transport.write(ANSWER)


@asynccontextmanager
async def counting_servers(number: int) -> AsyncIterator[tuple[list[str], Count]]:
    """URLs of so many servers in this process, and their common count. `/60` answers after sixty seconds."""
    count = Count()
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(lambda: _Connection(count), "127.0.0.1", 0) for _ in range(number)]
    try:
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/" for server in servers], count
    finally:
        for server in servers:
            server.close()
