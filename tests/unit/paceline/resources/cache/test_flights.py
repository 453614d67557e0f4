"""Who waits for whose fetch, and what happens when one of them leaves."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from paceline.resources.cache.flights import Flights

Caller = Callable[[str, bool], Awaitable[str]]


@pytest.fixture
def flights() -> Flights[str]:
    return Flights()


def caller(flights: Flights[str], gate: asyncio.Event, ended: list[str]) -> Caller:
    async def call(name: str, bound: bool) -> str:
        async def work() -> str:
            try:
                await gate.wait()
            finally:
                ended.append(name)
            return f"fetched by {name}"

        return await flights.wait("k", work, lambda: bound)

    return call


@pytest.mark.invariant
async def test_work_that_uses_its_callers_objects_ends_with_the_caller_and_the_others_start_over(
    flights: Flights[str],
) -> None:
    gate, ended = asyncio.Event(), list[str]()
    call = caller(flights, gate, ended)
    first, second, third = (asyncio.ensure_future(call(name, True)) for name in ("first", "second", "third"))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert ended == ["first"], "before the caller goes, and closes what the work used"
    gate.set()
    assert await asyncio.gather(second, third) == ["fetched by second"] * 2


async def test_other_work_goes_on_without_its_caller(flights: Flights[str]) -> None:
    gate, ended = asyncio.Event(), list[str]()
    call = caller(flights, gate, ended)
    first, second = (asyncio.ensure_future(call(name, False)) for name in ("first", "second"))
    await asyncio.sleep(0.01)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    gate.set()
    assert await second == "fetched by first"


@pytest.mark.invariant
def test_what_a_closed_loop_left_in_flight_does_not_block_its_key(flights: Flights[str]) -> None:
    async def never() -> str:
        await asyncio.get_running_loop().create_future()
        return "never"

    loop = asyncio.new_event_loop()
    leftover = loop.create_task(flights.wait("k", never, lambda: False))
    loop.run_until_complete(asyncio.sleep(0.01))
    loop.close()

    async def now() -> str:
        return "fetched"

    assert asyncio.run(asyncio.wait_for(flights.wait("k", now, lambda: False), 5)) == "fetched"
    assert not leftover.done()
    leftover.get_coro().close()  # type: ignore[union-attr]
