"""`rate-limit`: requests counted in Redis, admitted and refused, against slowapi and `limits`; and whether the count is
right under many workers of several pods.
"""

import asyncio
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Final

import aiohttp

from tests.benchmarks import parts, peers
from tests.benchmarks.closed_loop import Request
from tests.benchmarks.databases import databases
from tests.benchmarks.effort import Effort
from tests.benchmarks.pairs import CONNECTIONS, Match, throughput_rows
from tests.benchmarks.row import Row
from tests.benchmarks.servers import Cores, Stack, ours

BENCH: Final = "rate-limit"
ROUTE: Final = "/api/data"
GOAL: Final = 2.0
QUOTA: Final = 100
PODS: Final = 3
WORKERS: Final = 4
_DAY: Final = 86_400

CASES: Final = {
    "admitted, 32 clients": Request(ROUTE, addresses=CONNECTIONS),
    "admitted, one client": Request(ROUTE),
    "refused, one client": Request(ROUTE, status=429),
}
"""32 connections each; hits of one client that arrive together are counted together, those of many are not."""
PARTS: Final = {
    "a route that nobody limits": Request("/"),
    "+ a hit counted in Valkey, one client": CASES["admitted, one client"],
    "+ a hit counted in Valkey, 32 clients": CASES["admitted, 32 clients"],
}


def run(effort: Effort, cores: Cores) -> Iterator[Row]:
    with databases(cores) as environment:
        with _mine(environment, 10**9).started(cores) as server:
            yield from parts.rows(BENCH, server, PARTS, cores, effort)
        for metric, request in CASES.items():
            amount = 1 if request.status == 429 else 10**9
            for theirs in _peers(environment, amount):
                yield from _duel(metric, request, _mine(environment, amount), theirs, effort, cores)
        yield _correctness(environment, cores)


def _mine(environment: Mapping[str, str], amount: int) -> Stack:
    limit = {"API_RATE_LIMIT_REQUESTS": str(amount), "API_RATE_LIMIT_WINDOW_SECONDS": str(_DAY)}
    return ours("bench_rate_limit:app", {**environment, **limit})


def _peers(environment: Mapping[str, str], amount: int) -> Iterator[Stack]:
    limited = {**environment, "BENCH_LIMIT": f"{amount}/day"}
    if peers.present("slowapi", "slowapi", "redis"):
        yield peers.peer("slowapi", "bench_slowapi:app", limited)
    if peers.present("limits", "limits", "redis"):
        yield peers.peer("limits", "bench_limits:app", limited)


def _duel(metric: str, request: Request, mine: Stack, theirs: Stack, effort: Effort, cores: Cores) -> Iterator[Row]:
    what = f"{BENCH}, {metric}, against {theirs.name}"
    with mine.started(cores) as our_server, theirs.started(cores) as their_server:
        if request.status == 429:
            for server in (our_server, their_server):
                asyncio.run(_ask([server.port], 2))  # uses the quota up
        pairs = Match(our_server, their_server, cores, request).pairs(what, effort)
        yield from throughput_rows(BENCH, theirs.name, metric, pairs, GOAL)


def _correctness(environment: Mapping[str, str], cores: Cores) -> Row:
    """How many of thrice as many requests are admitted, all pods asked at once. The ratio is 1 if exactly the quota."""
    limit = {"API_RATE_LIMIT_REQUESTS": str(QUOTA), "API_RATE_LIMIT_TIMEOUT_SECONDS": "30"}
    stack = ours("paceline_api.app:app", {**environment, **limit, "PACELINE_WORKERS": str(WORKERS)})
    print(f"{BENCH}: {WORKERS} workers in each of {PODS} pods", file=sys.stderr)
    with ExitStack() as started:
        ports = [started.enter_context(stack.started(cores)).port for _ in range(PODS)]
        admitted = asyncio.run(_ask(ports, QUOTA))
    metric = f"admitted, {WORKERS} workers × {PODS} pods"
    return Row(BENCH, f"quota {QUOTA}", metric, admitted, QUOTA, float(admitted == QUOTA), goal=1.0)


async def _ask(ports: list[int], times: int) -> int:
    async def status(session: aiohttp.ClientSession, port: int) -> int:
        async with session.get(f"http://127.0.0.1:{port}{ROUTE}") as response:
            return response.status

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        statuses = await asyncio.gather(*(status(session, port) for _ in range(times) for port in ports))
    assert set(statuses) <= {200, 429}, statuses
    return statuses.count(200)
