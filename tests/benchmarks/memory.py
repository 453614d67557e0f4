"""`memory`: what one more worker costs, with the application loaded before the fork and without.

The growth of proportional set size from one worker to five, by four, after all of them have answered requests: pages
that workers share count once.
"""

import sys
import time
from collections.abc import Iterator
from functools import partial
from statistics import median
from typing import Final

import psutil

from tests.benchmarks.closed_loop import Request, saturate
from tests.benchmarks.databases import databases
from tests.benchmarks.effort import Effort
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Server, Stack, free_port, gunicorn, paceline

BENCH = "memory"
TARGET: Final = "paceline_api.app:app"
FEW, MANY = 1, 5
MOST_ROUNDS: Final = 3  # no neighbour changes how much memory is used
SETTLE_SECONDS: Final = 1.5  # workers report once a second; what they allocate for that is part of their cost


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    both = Cores(serve=cores.serve | cores.load, load=cores.load)  # memory is measured, and imports take long
    rounds = min(effort.pairs, MOST_ROUNDS)
    with databases(cores) as environment:
        peers = {"--no-preload": _ours(environment, "--no-preload"), "gunicorn + uvicorn-worker": _stock(environment)}
        found: dict[str, list[float]] = {name: [] for name in ("ours", *peers)}
        for number in range(rounds):
            print(f"{BENCH}: round {number + 1} of {rounds}", file=sys.stderr)
            for name, stacks in {"ours": _ours(environment), **peers}.items():
                found[name].append(_of_one_worker(stacks, effort, both))
    for name in peers:
        yield _row(name, found["ours"], found[name])


Stacks = dict[int, Stack]
"""The same stack by its number of workers."""


def _ours(environment: dict[str, str], *options: str) -> Stacks:
    def command(count: int, port: int) -> list[str]:
        return paceline(TARGET, port, free_port(), "--workers", str(count), *options)

    return {count: Stack("paceline serve", partial(command, count), environment) for count in (FEW, MANY)}


def _stock(environment: dict[str, str]) -> Stacks:
    def command(count: int, port: int) -> list[str]:
        return gunicorn(TARGET, port, "-w", str(count))

    return {count: Stack("stock", partial(command, count), environment) for count in (FEW, MANY)}


def _of_one_worker(stacks: Stacks, effort: Effort, cores: Cores) -> float:
    """Bytes."""
    used = {}
    for count, stack in stacks.items():
        with stack.started(cores) as server:
            saturate(server.port, connections=64, seconds=effort.seconds, request=Request("/products?limit=100"))
            time.sleep(SETTLE_SECONDS)
            used[count] = proportional_bytes(server)
    return (used[MANY] - used[FEW]) / (MANY - FEW)


def proportional_bytes(server: Server) -> int:
    """Of the whole process tree; pages that processes share count once."""
    tree: list[psutil.Process] = [server.process, *server.process.children(recursive=True)]
    return sum(process.memory_full_info().pss for process in tree)


def _row(peer: str, ours: list[float], theirs: list[float]) -> Row:
    return Row(
        bench=BENCH,
        peer=peer,
        metric="MB for one more worker",
        ours=median(ours) / 1e6,
        theirs=median(theirs) / 1e6,
        ratio=median(their / our for our, their in zip(ours, theirs, strict=True)),
        goal=4.0,
    )
