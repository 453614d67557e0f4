"""A closed-loop load that saturates one server: each connection sends its next request when it has its answer.

Cheap per request and blind to answers beyond their status, so that the server is the bottleneck; for latencies under a
given rate there is `paceline load`.
"""

import asyncio
import re
import shutil
import subprocess
import time

import uvloop

REQUEST = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n"


class LoadError(Exception):
    """The server answered with something else than 200 or closed a connection."""


def saturate(port: int, *, connections: int, seconds: float) -> tuple[int, float]:
    """Answers counted and seconds it took; with `wrk` if there is one, else with a loop of our own.

    Raises:
        LoadError: an answer was not 200.
    """
    if shutil.which("wrk"):
        return _wrk(port, connections, seconds)
    return uvloop.run(_own(port, connections, seconds))


class _Connection(asyncio.Protocol):
    """Knows the length of an answer from the first one; all answers of a benchmark are alike."""

    def __init__(self) -> None:
        self.answers = 0
        self.wrong: str | None = None
        self._length = 0
        self._got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        transport.write(REQUEST)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if not self._length:
            head, _, _ = data.partition(b"\r\n\r\n")
            if not data.startswith(b"HTTP/1.1 200"):
                self.wrong = repr(data[:80])
                self.transport.close()
                return
            self._length = len(head) + 4 + int(re.search(rb"content-length: (\d+)", head.lower())[1])  # type: ignore[index]
        self._got += len(data)
        if self._got >= self._length:
            self._got = 0
            self.answers += 1
            self.transport.write(REQUEST)  # type: ignore[attr-defined]

    def connection_lost(self, error: Exception | None) -> None:
        if self.wrong is None and error is not None:
            self.wrong = repr(error)


async def _own(port: int, connections: int, seconds: float) -> tuple[int, float]:
    loop = asyncio.get_running_loop()
    clients = [_Connection() for _ in range(connections)]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)
    started = time.perf_counter()
    before = sum(client.answers for client in clients)
    await asyncio.sleep(seconds)
    answers = sum(client.answers for client in clients) - before
    elapsed = time.perf_counter() - started
    for client in clients:
        client.transport.close()
        if client.wrong:
            raise LoadError(f"port {port}: {client.wrong}")
    return answers, elapsed


def _wrk(port: int, connections: int, seconds: float) -> tuple[int, float]:
    url = f"http://127.0.0.1:{port}/"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", url]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise LoadError(f"port {port}: {output}")
    answers, elapsed = re.search(r"(\d+) requests in ([\d.]+)s", output).groups()  # type: ignore[union-attr]
    return int(answers), float(elapsed)
