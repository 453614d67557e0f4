"""Clients that keep their connections as long as the server does, and count every request that got no response."""

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_THINK_SECONDS = 0.15


@dataclass
class Outcome:
    """What the clients saw. A refused connection carried no request: it is counted apart."""

    answered: Counter[int] = field(default_factory=Counter)
    by_body: Counter[bytes] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    closed_by_header: int = 0
    closed_idle: int = 0


class KeepAliveLoad:
    """A context manager around a thread with an event loop; `outcome` is complete after the block."""

    def __init__(self, port: int, *, connections: int = 48, path: str = "/", seed: int = 1) -> None:
        self._port = port
        self._request = f"GET {path} HTTP/1.1\r\nHost: test\r\n\r\n".encode()
        self._connections = connections
        self._random = random.Random(seed)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="keep-alive load")
        self.outcome = Outcome()

    def __enter__(self) -> Self:
        self._thread.start()
        while not self.outcome.answered and self._thread.is_alive():
            time.sleep(0.01)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(60)

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as clients:
            for _ in range(self._connections):
                clients.create_task(self._client())

    async def _client(self) -> None:
        while not self._stop.is_set():
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
            except OSError:
                self.outcome.refused += 1
                await asyncio.sleep(0.05)
                continue
            try:
                await self._converse(reader, writer)
            finally:
                writer.close()
                with suppress(OSError):
                    await writer.wait_closed()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not self._stop.is_set():
            await asyncio.sleep(self._random.expovariate(1 / _THINK_SECONDS))
            if reader.at_eof():
                self.outcome.closed_idle += 1
                return
            try:
                writer.write(self._request)
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                body = await reader.readexactly(length)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.outcome.lost.append(repr(error))
                return
            self.outcome.answered[int(head.split(b" ", 2)[1])] += 1
            self.outcome.by_body[body] += 1
            if b"\r\nconnection: close" in head.lower():
                self.outcome.closed_by_header += 1
                return
