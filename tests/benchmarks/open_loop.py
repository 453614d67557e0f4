"""Latency under a given rate, timed from the intended start of each request; ours and theirs in turn."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import uvloop
from paceline.load.openloop import OpenLoop, Plan
from paceline.load.results import Summary
from paceline.load.target import Target

from tests.benchmarks.closed_loop import LoadError, Request
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Server

TIMEOUT_SECONDS = 10.0


@dataclass(frozen=True)
class Latencies:
    """Seconds from the intended start, of one run each."""

    ours: list[float]
    theirs: list[float]

    def row(self, bench: str, peer: str, metric: str, goal: float | None = None) -> Row:
        """Milliseconds; the ratio says how many times as long theirs takes."""
        return Row(
            bench=bench,
            peer=peer,
            metric=metric,
            ours=median(self.ours) * 1e3,
            theirs=median(self.theirs) * 1e3,
            ratio=median(theirs / ours for ours, theirs in zip(self.ours, self.theirs, strict=True)),
            goal=goal,
        )


def target(port: int, request: Request) -> Target:
    return Target(f"http://127.0.0.1:{port}{request.path}", "127.0.0.1", port, None, request.to_bytes())


def drive(port: int, request: Request, rate: float, seconds: float, connections: int = 64) -> Summary:
    """One run.

    Raises:
        LoadError: a request failed, or this machine could not send at that rate.
    """
    plan = Plan(target(port, request), rate, seconds, connections, TIMEOUT_SECONDS)
    summary = uvloop.run(_run(plan))
    if summary.total.failed or summary.total.p95 is None:
        raise LoadError(f"port {port}: {summary.total.failures} at {rate:.0f} requests/s")
    return summary


async def _run(plan: Plan) -> Summary:
    return await OpenLoop(plan).run()


def latencies(
    ours: Server, theirs: Server, request: Request, rate: float, effort: Effort, connections: int = 64
) -> Latencies:
    """p95 of both at the same rate, in alternating order."""
    found: dict[int, list[float]] = {ours.port: [], theirs.port: []}
    for number in range(effort.pairs):
        print(f"{request.path} at {rate:.0f}/s: pair {number + 1} of {effort.pairs}", file=sys.stderr)
        for server in _order(ours, theirs, number):
            drive(server.port, request, rate, 0.3, connections)
            summary = drive(server.port, request, rate, effort.seconds, connections)
            found[server.port].append(summary.total.p95 or 0.0)
    return Latencies(found[ours.port], found[theirs.port])


def _order(ours: Server, theirs: Server, number: int) -> Iterator[Server]:
    yield from (ours, theirs) if number % 2 == 0 else (theirs, ours)
