"""One of ours against one peer, from start to rows: what most benchmarks are made of."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.closed_loop import FRONT_PAGE, Request
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import latencies
from tests.benchmarks.pairs import CONNECTIONS, Match, throughput_rows
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Stack

LOAD_RATIO: Final = 0.8
"""Latencies are taken at this share of what the peer can do at most: a load that it carries."""


@dataclass(frozen=True)
class Duel:
    """Both answer the same request, each on the same core, in turn."""

    bench: str
    metric: str
    ours: Stack
    theirs: Stack
    request: Request = FRONT_PAGE
    connections: int = CONNECTIONS
    goal: float | None = None
    """Of requests per second, ours by theirs."""
    measures_latency: bool = False
    latency_goal: float | None = None
    """Of p95 under the same rate, theirs by ours."""

    def rows(self, effort: Effort, cores: Cores) -> Iterator[Row]:
        what = f"{self.bench} against {self.theirs.name}"
        with self.ours.started(cores) as mine, self.theirs.started(cores) as other:
            pairs = Match(mine, other, cores, self.request, self.connections).pairs(what, effort)
            yield from throughput_rows(self.bench, self.theirs.name, self.metric, pairs, self.goal)
            if self.measures_latency:
                rate = LOAD_RATIO * median(pair.theirs.per_second for pair in pairs)
                found = latencies(mine, other, self.request, rate, effort, self.connections)
                metric = f"{self.metric}: p95 ms at {LOAD_RATIO:.0%} of theirs"
                yield found.row(self.bench, self.theirs.name, metric, self.latency_goal)
