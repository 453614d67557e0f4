"""`dashboard`: three upstreams of 100 ms each, asked at the same time, against asking one after another."""

from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from typing import Final

import psutil

from tests.benchmarks import parts, peers
from tests.benchmarks.closed_loop import Request
from tests.benchmarks.duel import Duel
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import drive
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server, Stack, ours, stock

BENCH = "dashboard"
ROUTE: Final = Request("/dashboard")
PARTS: Final = {
    "a route that answers three fields": Request("/parts/route"),
    "+ three tasks that do nothing": Request("/parts/tasks"),
    "+ one upstream called in one of them": Request("/parts/one"),
    "+ the two others": ROUTE,
}
CONNECTIONS: Final = 256
"""Waiting is what this is about: as many clients as it takes to fill three tenths of a second."""
FEW_CONNECTIONS: Final = 32
CALM_RATE: Final = 50.0
UPSTREAM_MS: Final = 100.0
LEAST_SECONDS: Final = 3.0
FLASKS: Final = ((1, 32), (1, 64), (2, 32))
MEMORY_RATIO: Final = 2.0


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    effort = Effort(effort.pairs, max(effort.seconds, LEAST_SECONDS))
    with _upstream(cores) as address:
        environment = {"BENCH_UPSTREAM": address}
        mine = ours("bench_dashboard:app", environment)
        with mine.started(cores) as server:
            yield _calm(server, effort)
            memory = _memory(server)
            yield from parts.rows(BENCH, server, PARTS, cores, effort, CONNECTIONS)
        for duel in _duels(mine, environment, memory, cores):
            yield from duel.rows(effort, cores)


@contextmanager
def _upstream(cores: Cores) -> Iterator[str]:
    """On the core that loads."""
    with stock("upstream", "bench_upstream:app").started(Cores(serve=cores.load, load=cores.load)) as server:
        yield f"http://127.0.0.1:{server.port}"


def _calm(server: Server, effort: Effort) -> Row:
    """The tail without a queue: how much of it is ours."""
    runs = [drive(server.port, ROUTE, CALM_RATE, effort.seconds).total.p95 or 0.0 for _ in range(effort.pairs)]
    milliseconds = median(runs) * 1e3
    ratio = UPSTREAM_MS / milliseconds
    return Row(
        BENCH, "the slowest upstream", f"p95 ms at {CALM_RATE:.0f}/s", milliseconds, UPSTREAM_MS, ratio, 1 / 1.15
    )


def _memory(server: Server) -> int:
    tree: list[psutil.Process] = [server.process, *server.process.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in tree)


def _duels(mine: Stack, environment: dict[str, str], memory: int, cores: Cores) -> Iterator[Duel]:
    """httpx with the clients that it carries: its pool looks at every connection for every request, so that above 48
    requests time out. Flask with as many as we carry, and the counts that serve most within twice our memory."""
    httpx = stock("httpx, one by one", "bench_dashboard_httpx:app", environment)
    yield Duel(BENCH, f"{FEW_CONNECTIONS} clients", mine, httpx, ROUTE, FEW_CONNECTIONS)
    if peers.present("Flask dashboard", "flask"):
        flasks = [
            peers.flask("bench_dashboard_flask:app", environment, workers=workers, threads=threads)
            for workers, threads in FLASKS
        ]
        affordable = [flask for flask in flasks if _memory_of(flask, cores) <= MEMORY_RATIO * memory]
        best = peers.fastest(affordable, cores, ROUTE, CONNECTIONS)
        yield Duel(BENCH, f"{CONNECTIONS} clients", mine, best, ROUTE, CONNECTIONS, goal=10.0)


def _memory_of(stack: Stack, cores: Cores) -> int:
    with stack.started(cores) as server:
        return _memory(server)
