"""Two servers measured one right after the other, so that whatever else the machine does hits both alike.

A pair that others disturbed is measured again. Ratios are taken within a pair, then their median; absolute figures are
for orientation.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median
from typing import Final

from tests.benchmarks.closed_loop import FRONT_PAGE, LoadError, Request, saturate
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server

CONNECTIONS: Final = 32
WARM_SECONDS: Final = 0.2
CALM: Final = 0.1
TRIES: Final = 3


@dataclass(frozen=True)
class Sample:
    """One measurement; `foreign` is what others used of both cores meanwhile, in cores."""

    per_second: float
    cpu_microseconds: float
    foreign: float


@dataclass(frozen=True)
class Pair:
    """Ours and theirs, measured one right after the other."""

    ours: Sample
    theirs: Sample

    @property
    def foreign(self) -> float:
        return max(self.ours.foreign, self.theirs.foreign)


def sample(
    server: Server, cores: Cores, seconds: float, request: Request = FRONT_PAGE, connections: int = CONNECTIONS
) -> Sample:
    """Saturates one server.

    Raises:
        LoadError: it answered nothing, or something else than 200.
    """
    saturate(server.port, connections=connections, seconds=WARM_SECONDS, request=request)
    used, foreign = server.cpu_seconds(), cores.foreign_seconds()
    responses, elapsed = saturate(server.port, connections=connections, seconds=seconds, request=request)
    used, foreign = server.cpu_seconds() - used, cores.foreign_seconds() - foreign
    if not responses:
        raise LoadError(f"port {server.port}: no answer to {request.path} within {elapsed:.1f} s")
    return Sample(responses / elapsed, used / responses * 1e6, max(0.0, foreign) / elapsed)


@dataclass(frozen=True)
class Match:
    """Two servers that answer the same request."""

    ours: Server
    theirs: Server
    cores: Cores
    request: Request = FRONT_PAGE
    connections: int = CONNECTIONS

    def pair(self, seconds: float, *, ours_first: bool) -> Pair:
        """The calmest of a few tries, or the first calm one."""
        tries: list[Pair] = []
        while len(tries) < TRIES and not (tries and tries[-1].foreign <= CALM):
            order = (self.ours, self.theirs) if ours_first else (self.theirs, self.ours)
            taken = {
                server.port: sample(server, self.cores, seconds, self.request, self.connections) for server in order
            }
            tries.append(Pair(taken[self.ours.port], taken[self.theirs.port]))
        return min(tries, key=lambda pair: pair.foreign)

    def pairs(self, what: str, effort: Effort) -> list[Pair]:
        """As many as asked for, each side first in turn."""
        measured = []
        for number in range(effort.pairs):
            print(f"{what}: pair {number + 1} of {effort.pairs}", file=sys.stderr)
            measured.append(self.pair(effort.seconds, ours_first=number % 2 == 0))
        warn_unless_calm(what, measured)
        return measured


def warn_unless_calm(what: str, pairs: list[Pair]) -> None:
    foreign = median(pair.foreign for pair in pairs)
    if foreign > CALM:
        print(f"{what}: others used {foreign:.0%} of a core: measure again on a calm machine", file=sys.stderr)


def throughput_rows(bench: str, peer: str, metric: str, pairs: list[Pair], goal: float | None = None) -> Iterator[Row]:
    """Requests per second, which carry the goal, and CPU time a request."""
    yield Row(
        bench=bench,
        peer=peer,
        metric=f"{metric}: requests/s",
        ours=median(pair.ours.per_second for pair in pairs),
        theirs=median(pair.theirs.per_second for pair in pairs),
        ratio=median(pair.ours.per_second / pair.theirs.per_second for pair in pairs),
        goal=goal,
    )
    yield Row(
        bench=bench,
        peer=peer,
        metric=f"{metric}: CPU µs/request",
        ours=median(pair.ours.cpu_microseconds for pair in pairs),
        theirs=median(pair.theirs.cpu_microseconds for pair in pairs),
        ratio=median(pair.theirs.cpu_microseconds / pair.ours.cpu_microseconds for pair in pairs),
    )
