"""What the pool suites share: sixty tasks that want more than there is, and a watch on what the server sees."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from counting_server import counting_servers
from paceline import tune
from paceline.document.model import Values

LIMITS = (5, 20, 38, 3, 10, 1, 30)
TASKS = 60
SAMPLE_SECONDS = 0.02
DEADLINE_SECONDS = 30.0

Count = Callable[[], Awaitable[int]]
Condition = Callable[[], Awaitable[bool]]
Eventually = Callable[[Condition, str], Awaitable[None]]
Use = Callable[[], Awaitable[object]]
Drive = Callable[[tune.Tunables, str, Use, Count], Awaitable[dict[str, Any]]]


@dataclass
class Watch:
    """Samples of the server's own count of connections, each judged by the bound that held when it was taken."""

    count: Count
    allowed: int
    samples: int = 0
    highest: int = 0
    violations: list[tuple[int, int]] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            allowed = self.allowed  # before the question: a sample in flight during a change is judged by the larger
            seen = await self.count()
            self.samples += 1
            self.highest = max(self.highest, seen)
            if seen > max(allowed, self.allowed):
                self.violations.append((seen, self.allowed))
            await asyncio.sleep(SAMPLE_SECONDS)


@dataclass
class Saturation:
    """Tasks that use a pool as fast as it lets them."""

    use: Use
    done: int = 0
    errors: list[BaseException] = field(default_factory=list)

    async def run(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await self.use()
                self.done += 1
            except Exception as error:
                self.errors.append(error)
                await asyncio.sleep(0.05)


async def _eventually(condition: Condition, what: str) -> None:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await condition():  # noqa: ASYNC110 - a server's state has no event
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"never: {what}")


async def _drive(tunables: tune.Tunables, name: str, use: Use, count: Count) -> dict[str, Any]:
    def report() -> dict[str, Any]:
        pool: dict[str, Any] = tunables.report()["pools"][name]
        return pool

    watch = Watch(count, allowed=LIMITS[0])
    load = Saturation(use)

    async def reached(limit: int) -> bool:
        pool = report()  # as the agent decides that a shrink is done
        return pool["inUse"] <= limit and pool["open"] <= limit and await count() == limit

    async def went_on(done: int, samples: int) -> bool:
        return load.done > done + 50 and watch.samples > samples + 10

    # An event, not cancellation: before Python 3.12 asyncio.wait_for, which redis-py uses, may swallow one.
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for run in [watch.run, *[load.run] * TASKS]:
            tasks.create_task(run(stop))
        try:
            for limit in LIMITS:
                watch.allowed = max(watch.allowed, limit)
                tunables.apply(Values(pools={name: limit}))
                await _eventually(partial(reached, limit), f"{limit} connections at the server")
                watch.allowed = limit
                await _eventually(partial(went_on, load.done, watch.samples), f"more uses under limit {limit}")
        finally:
            stop.set()
    assert load.errors == []
    assert watch.violations == []
    assert watch.highest == max(LIMITS)
    after = report()
    assert (after["limit"], after["inUse"], after["waiting"]) == (LIMITS[-1], 0, 0)
    assert after["wait"]["count"] == after["hold"]["count"] >= load.done
    return after


@pytest.fixture
def tunables() -> tune.Tunables:
    return tune.Tunables()


@pytest.fixture
async def servers() -> AsyncIterator[Any]:
    """The addresses of two HTTP servers, and a count of the connections that are open to them."""
    async with counting_servers(2) as servers:
        yield servers


@pytest.fixture
def eventually() -> Eventually:
    """Polls a condition until it holds; fails after half a minute, saying what did not happen."""
    return _eventually


@pytest.fixture
def drive() -> Drive:
    """Moves a limit through LIMITS under saturation, each step once the server counts as many connections.

    No use of the pool fails, and the server never sees a connection more than allowed. Returns what the pool reports.
    """
    return _drive
