"""anyio's thread limiter as a pool: nothing but the numbers changes for who borrows a thread."""

import asyncio
import math
import threading
from typing import Any

import pytest
from anyio import to_thread
from paceline import tune
from paceline.document.model import Values
from paceline.resources.pools.threads import register_threads


@pytest.fixture
def tunables() -> tune.Tunables:
    return tune.Tunables()


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["threads"]
    return pool


async def test_the_limit_that_the_application_gave_is_the_start_value(tunables: tune.Tunables) -> None:
    to_thread.current_default_thread_limiter().total_tokens = 7
    register_threads(tunables)
    assert tunables.start_values()["pools"] == {"threads": 7}
    tunables.apply(Values(pools={"threads": 3}))
    assert to_thread.current_default_thread_limiter().total_tokens == 3
    tunables.apply(Values())
    assert to_thread.current_default_thread_limiter().total_tokens == 7


async def test_calls_are_counted_while_they_wait_and_while_they_run(tunables: tune.Tunables) -> None:
    tunables.apply(Values(pools={"threads": 1}))
    register_threads(tunables)
    go = threading.Event()
    calls = [asyncio.create_task(to_thread.run_sync(go.wait)) for _ in range(3)]
    async with asyncio.timeout(20):
        while report(tunables)["waiting"] < 2:  # noqa: ASYNC110 - the limiter tells nobody
            await asyncio.sleep(0)
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (1, 1)
    calls[2].cancel()
    await asyncio.gather(calls[2], return_exceptions=True)
    go.set()
    assert await asyncio.gather(*calls[:2]) == [True, True]
    after = report(tunables)
    assert (after["inUse"], after["waiting"]) == (0, 0)
    assert after["wait"]["count"] == after["hold"]["count"] == 2


async def test_a_limiter_without_a_bound_and_a_name_that_is_taken_are_left_alone(tunables: tune.Tunables) -> None:
    limiter = to_thread.current_default_thread_limiter()
    limiter.total_tokens = math.inf
    register_threads(tunables)
    assert tunables.report()["pools"] == {}
    limiter.total_tokens = 40
    register_threads(tunables)
    register_threads(tunables)
    await to_thread.run_sync(int)
    assert report(tunables)["hold"]["count"] == 1
