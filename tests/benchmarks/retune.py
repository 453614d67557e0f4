"""`retune`: workers 4 → 2 → 6, pools and TTLs, every three seconds under 70 % load: what it loses, and the tail.

Beside it the same pod left alone, and gunicorn with uvicorn-worker, whose worker count moves by signals.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Any, Final

import psutil
import uvloop
from paceline.load.openloop import OpenLoop, Plan
from paceline.load.results import Summary

from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import TIMEOUT_SECONDS, target
from tests.benchmarks.pairs import sample
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server, Stack, gunicorn
from tests.benchmarks.tuned import tuned

BENCH = "retune"
TARGET: Final = "paceline_api.app:app"
ROUTE: Final = Request("/products?limit=20")
LOAD_RATIO: Final = 0.7
EVERY_SECONDS: Final = 3.0
RUN_SECONDS: Final = 12.0
CONNECTION_SECONDS: Final = 3.0  # as load balancers do: workers that come later get their share
START: Final = 4
STEPS: Final[tuple[dict[str, Any], ...]] = (
    {"workers": 2, "pools": {"postgres": 8, "redis": 4}, "caches": {"responses": {"ttlSeconds": 5}}},
    {"workers": 6, "pools": {"postgres": 3, "redis": 10}, "caches": {"responses": {"ttlSeconds": 300}}},
    {"workers": 4, "pools": {"postgres": 5, "redis": 6}, "caches": {"responses": {"ttlSeconds": 60}}},
)
SIGNALS: Final = (signal.SIGTTOU,) * 2 + (signal.SIGTTIN,) * 4 + (signal.SIGTTOU,) * 2
PER_STEP: Final = (2, 4, 2)


@dataclass
class Runs:
    """What one variant did, run by run."""

    lost: list[int] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)

    def add(self, summary: Summary) -> None:
        self.lost.append(summary.total.failed)
        self.p99.append((summary.total.p99 or TIMEOUT_SECONDS) * 1e3)


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    with databases(cores) as environment, ExitStack() as stack:
        pod = stack.enter_context(tuned(TARGET, environment, START, cores))
        stock = Stack("stock", lambda port: gunicorn(TARGET, port, "-w", str(START)), environment)
        plain = stack.enter_context(stock.started(cores))
        rate = LOAD_RATIO * min(_capacity(pod.server, effort, cores), _capacity(plain, effort, cores))
        documents = cycle(STEPS)
        turns: dict[str, tuple[Server, Callable[[], None]]] = {
            "quiet": (pod.server, lambda: None),
            "retuned": (pod.server, lambda: pod.write(next(documents))),
            "stock": (plain, _signals(plain.process)),
        }
        found = {name: Runs() for name in turns}
        for number in range(effort.pairs):
            print(f"{BENCH} at {rate:.0f}/s: round {number + 1} of {effort.pairs}", file=sys.stderr)
            for name in turns if number % 2 == 0 else reversed(turns):
                server, change = turns[name]
                found[name].add(uvloop.run(_drive(server, rate, change)))
    yield from _rows(found)


def _capacity(server: Server, effort: Effort, cores: Cores) -> float:
    return median(sample(server, cores, effort.seconds, ROUTE, connections=64).per_second for _ in range(3))


def _signals(arbiter: psutil.Process) -> Callable[[], None]:
    """The same worker counts, one signal at a time: gunicorn takes those that come together for one."""
    pending, counts = cycle(SIGNALS), cycle(PER_STEP)

    def change() -> None:
        for _ in range(next(counts)):
            arbiter.send_signal(next(pending))
            time.sleep(0.1)

    return change


async def _drive(server: Server, rate: float, change: Callable[[], None]) -> Summary:
    plan = Plan(target(server.port, ROUTE), rate, RUN_SECONDS, 64, TIMEOUT_SECONDS, CONNECTION_SECONDS)
    changing = asyncio.create_task(_change(change))
    try:
        return await OpenLoop(plan).run()
    finally:
        changing.cancel()


async def _change(change: Callable[[], None]) -> None:
    await asyncio.sleep(EVERY_SECONDS / 2)
    while True:
        await asyncio.to_thread(change)
        await asyncio.sleep(EVERY_SECONDS)


def _rows(found: dict[str, Runs]) -> Iterator[Row]:
    """A ratio for what is lost is 1 where nothing is."""
    retuned, quiet, stock = found["retuned"], found["quiet"], found["stock"]
    left_alone, signalled = "the same pod, left alone", "gunicorn + uvicorn-worker, TTIN and TTOU"
    for peer, theirs, goal in ((left_alone, quiet, 1 / 1.3), (signalled, stock, None)):
        lost, theirs_lost = sum(retuned.lost), sum(theirs.lost)
        yield Row(BENCH, peer, "lost requests", lost, theirs_lost, 1.0 if lost == 0 else 0.0, 1.0)
        ratio = median(their / our for our, their in zip(retuned.p99, theirs.p99, strict=True))
        yield Row(BENCH, peer, "p99 ms", median(retuned.p99), median(theirs.p99), ratio, goal)
