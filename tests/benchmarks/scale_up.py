"""`scale-up`: from asking for a second worker to its first response. A fork of what is loaded, or an import."""

import json
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from statistics import median
from typing import Final

from tests.benchmarks.databases import databases
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, stock
from tests.benchmarks.tuned import tuned

BENCH = "scale-up"
TARGET: Final = "bench_pid:app"
PEER: Final = "gunicorn + uvicorn-worker, SIGTTIN"
BURST: Final = 8
DEADLINE_SECONDS: Final = 30.0
_REQUEST = b"GET /pid HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    """Ours by a tuning document, which agent and arbiter poll for; theirs by a signal to the arbiter."""
    by_document, by_signal = [], []
    with databases(cores) as environment:
        for number in range(effort.pairs):
            print(f"{BENCH}: round {number + 1} of {effort.pairs}", file=sys.stderr)
            with stock(PEER, TARGET, environment).started(cores) as server:
                by_signal.append(_until_second(server.port, partial(server.process.send_signal, signal.SIGTTIN)))
            with tuned(TARGET, environment, 1, cores) as pod:
                by_document.append(_until_second(pod.server.port, partial(pod.write, {"workers": 2})))
    yield _row("ms to the first response", by_document, by_signal)


def _until_second(port: int, ask: Callable[[], None]) -> float:
    """Seconds.

    Raises:
        TimeoutError: no second worker answered in time.
    """
    known = _pids(port)
    started = time.perf_counter()
    ask()
    while time.perf_counter() < started + DEADLINE_SECONDS:
        if _pids(port) - known:
            return time.perf_counter() - started
        time.sleep(0.002)
    raise TimeoutError(f"no second worker answered on port {port} within {DEADLINE_SECONDS:g} s")


def _pids(port: int) -> set[int]:
    """Who answers a burst of connections: one alone would mostly reach the worker that was there before."""
    with ExitStack() as stack:
        clients = [stack.enter_context(socket.create_connection(("127.0.0.1", port), 10)) for _ in range(BURST)]
        for client in clients:
            client.sendall(_REQUEST)
        return {_pid(client) for client in clients}


def _pid(client: socket.socket) -> int:
    response = b""
    while piece := client.recv(4096):
        response += piece
    return int(json.loads(response.partition(b"\r\n\r\n")[2])["pid"])


def _row(metric: str, ours: list[float], theirs: list[float]) -> Row:
    return Row(
        bench=BENCH,
        peer=PEER,
        metric=metric,
        ours=median(ours) * 1e3,
        theirs=median(theirs) * 1e3,
        ratio=median(their / our for our, their in zip(ours, theirs, strict=True)),
        goal=5.0,
    )
