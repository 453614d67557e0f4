"""`make soak`: ten minutes under load and retuning. Memory stays flat, no request is lost, no pool grows.

SECONDS of the environment makes it longer or shorter. Memory is the proportional set size of the whole pod; what it
takes to warm up, the first sixth of the run, does not count.
"""

import asyncio
import json
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median
from typing import Any, Final

import uvloop
from paceline.load.openloop import OpenLoop, Plan

from tests.benchmarks import command
from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.effort import Effort
from tests.benchmarks.memory import proportional_bytes
from tests.benchmarks.open_loop import TIMEOUT_SECONDS, target
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server, free_port
from tests.benchmarks.tuned import Tuned, tuned

BENCH: Final = "soak"
TARGET: Final = "paceline_api.app:app"
RATES: Final = {
    "/products?limit=100": 60.0,
    "/expensive-data": 60.0,
    "/items?limit=20": 20.0,
    "/openapi.json": 10.0,
    "/no-such-page": 5.0,
}
NOT_LOST: Final = frozenset({"HTTP 404"})
WORKERS: Final = 2
CONNECTION_SECONDS: Final = 3.0
EVERY_SECONDS: Final = 10.0
STEPS: Final[tuple[dict[str, Any], ...]] = (
    {"workers": WORKERS, "pools": {"postgres": 8, "redis": 4}, "caches": {"responses": {"ttlSeconds": 5}}},
    {"workers": WORKERS, "pools": {"postgres": 3, "redis": 10}, "caches": {"responses": {"ttlSeconds": 60}}},
)
LARGEST: Final = 8 * WORKERS
WARM_UP: Final = 1 / 6


@dataclass
class Seen:
    """Sampled every few seconds: bytes of the pod and connections of its pool to PostgreSQL."""

    bytes: list[int] = field(default_factory=list)
    open: list[int] = field(default_factory=list)


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    management_port = free_port()
    with databases(cores) as environment:
        options = ("--management-bind", f"127.0.0.1:{management_port}")
        with tuned(TARGET, environment, WORKERS, cores, *options) as pod:
            seen = Seen()
            failures = uvloop.run(_drive(pod, seen, effort.seconds, management_port))
    lost = sum(count for kind, count in failures.items() if kind not in NOT_LOST)
    part = max(1, len(seen.bytes) // 10)
    course = [round(median(seen.bytes[start : start + part]) / 1e6) for start in range(0, len(seen.bytes), part)]
    print(f"{BENCH}: MB in the course of the run: {course}", file=sys.stderr)
    counted = seen.bytes[round(len(seen.bytes) * WARM_UP) :]
    third = max(1, len(counted) // 3)
    early, late = median(counted[:third]) / 1e6, median(counted[-third:]) / 1e6
    yield Row(BENCH, "the same pod, earlier", "MB of the pod", late, early, early / late, 0.95)
    yield Row(BENCH, "none", "lost requests", lost, 0, 1.0 if lost == 0 else 0.0, 1.0)
    most = max(seen.open)
    yield Row(BENCH, "the larger total", "connections to PostgreSQL", most, LARGEST, LARGEST / max(most, 1), 1.0)


async def _drive(pod: Tuned, seen: Seen, seconds: float, management_port: int) -> dict[str, int]:
    loads = [
        OpenLoop(Plan(target(pod.server.port, Request(path)), rate, seconds, 16, TIMEOUT_SECONDS, CONNECTION_SECONDS))
        for path, rate in RATES.items()
    ]
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(_watch(pod, seen, management_port))
        summaries = await asyncio.gather(*(load.run() for load in loads))
        watching.cancel()
    failures: dict[str, int] = {}
    for summary in summaries:
        for kind, count in summary.total.failures.items():
            failures[kind] = failures.get(kind, 0) + count
    print(f"{BENCH}: {sum(one.total.succeeded for one in summaries)} succeeded, not so: {failures}", file=sys.stderr)
    return failures


async def _watch(pod: Tuned, seen: Seen, management_port: int) -> None:
    documents, due = cycle(STEPS), time.monotonic()
    while True:
        await asyncio.sleep(2.0)  # first of all: until then every worker has reported
        if time.monotonic() >= due:
            await asyncio.to_thread(pod.write, next(documents))
            due += EVERY_SECONDS
        await asyncio.to_thread(_sample, pod.server, seen, management_port)


def _sample(server: Server, seen: Seen, management_port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{management_port}/state", timeout=10) as response:
        seen.open.append(int(json.load(response)["pools"]["postgres"]["open"]))
    seen.bytes.append(proportional_bytes(server))


def main() -> int:
    title = "a ratio of 1 means no change; below, that it grew"
    return command.run("tests.benchmarks.soak", __doc__.splitlines()[0], {BENCH: run}, Effort(1, 600.0), title)


if __name__ == "__main__":
    sys.exit(main())
