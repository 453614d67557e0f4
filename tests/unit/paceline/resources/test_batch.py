"""`tune.batch`: who shares a call with whom, and that nobody notices the others."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline import tune
from paceline.errors import UsageError

REQUEST: ContextVar[str] = ContextVar("request", default="none")


class Database:
    """Responds when it is let; remembers what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.cancelled = 0
        self.seen: set[str] = set()
        self.open = asyncio.Event()

    async def load(self, keys: Sequence[int]) -> dict[int, Any]:
        self.calls.append(list(keys))
        self.seen.add(REQUEST.get())
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if 13 in keys:
            raise ConnectionError("the database is gone")
        return {key: ValueError("negative") if key < 0 else f"row {key}" for key in keys if key != 404}


async def _turns(number: int = 5) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_what_waits_at_the_same_time_is_one_call_and_each_has_its_own_row() -> None:
    database = Database()
    row = tune.batch(database.load)
    database.open.set()
    assert await asyncio.gather(*map(row, [3, 1, 3, 404, 2])) == ["row 3", "row 1", "row 3", None, "row 2"]
    assert database.calls == [[3, 1, 404, 2]]


async def test_while_calls_are_under_way_the_next_ones_gather_up_to_the_size() -> None:
    database = Database()
    row = tune.batch(database.load, max_size=3, in_flight=1)
    callers = [asyncio.ensure_future(row(1))]
    await _turns()
    callers += [asyncio.ensure_future(row(key)) for key in (1, 2, 3, 4)]  # 1 again: it may have been written since
    await _turns()
    assert database.calls == [[1]]
    database.open.set()
    assert await asyncio.gather(*callers) == ["row 1", "row 1", "row 2", "row 3", "row 4"]
    assert database.calls == [[1], [1, 2, 3], [4]]


async def test_an_error_of_one_key_is_its_callers_alone_and_one_of_the_call_is_everybodys() -> None:
    database = Database()
    row = tune.batch(database.load)
    database.open.set()
    assert [repr(each) for each in await asyncio.gather(row(1), row(-1), return_exceptions=True)] == [
        "'row 1'",
        "ValueError('negative')",
    ]
    failed = await asyncio.gather(row(1), row(13), return_exceptions=True)
    assert [type(each) for each in failed] == [ConnectionError, ConnectionError]
    assert await row(1) == "row 1"


async def test_who_gives_up_takes_nobody_along() -> None:
    database = Database()
    row = tune.batch(database.load, in_flight=1)
    first, other = asyncio.ensure_future(row(1)), asyncio.ensure_future(row(1))
    await _turns()
    late, never = asyncio.ensure_future(row(2)), asyncio.ensure_future(row(3))
    await _turns()
    first.cancel()
    never.cancel()
    await _turns()
    database.open.set()
    await asyncio.wait([first, other, late, never], timeout=5)
    assert (first.cancelled(), other.result(), late.result(), never.cancelled()) == (True, "row 1", "row 2", True)
    assert database.calls == [[1], [2]]


async def test_a_call_that_nobody_waits_for_is_cancelled_and_makes_room() -> None:
    database = Database()
    row = tune.batch(database.load, in_flight=1)
    callers = [asyncio.ensure_future(row(1)), asyncio.ensure_future(row(2))]
    await _turns()
    waiting = asyncio.ensure_future(row(3))
    for caller in callers:
        caller.cancel()
    await _turns()
    assert (database.cancelled, database.calls) == (1, [[1, 2], [3]])
    database.open.set()
    assert await waiting == "row 3"


async def test_a_call_that_is_given_up_before_it_began_keeps_no_place() -> None:
    database = Database()
    row = tune.batch(database.load, in_flight=1)
    caller = asyncio.ensure_future(row(1))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_soon(caller.cancel)  # after the call was made, before its first step
    await asyncio.wait([caller], timeout=5)
    database.open.set()
    assert await asyncio.wait_for(row(2), 5) == "row 2"


async def test_a_call_sees_nothing_of_its_callers() -> None:
    database = Database()
    REQUEST.set("the application's")
    row = tune.batch(database.load)
    database.open.set()

    async def ask(name: str) -> Any:
        REQUEST.set(name)
        return await row(1)

    await asyncio.gather(asyncio.create_task(ask("one")), asyncio.create_task(ask("other")))
    assert database.seen == {"the application's"}


async def test_at_the_end_of_the_loop_nobody_waits_for_ever() -> None:
    database = Database()
    row = tune.batch(database.load, in_flight=1)
    callers = [asyncio.ensure_future(row(key)) for key in (1, 2)]
    await _turns()
    (call,) = [task for task in asyncio.all_tasks() if "_fly" in repr(task.get_coro())]
    call.cancel()
    await asyncio.wait(callers, timeout=5)
    assert [caller.cancelled() for caller in callers] == [True, True]


@pytest.mark.parametrize("options", [{"max_size": 0}, {"in_flight": 0}])
def test_what_could_never_load_is_refused(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=f"{next(iter(options))} is 0; it must be at least 1"):
        tune.batch(Database.load, **options)  # type: ignore[arg-type]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30), st.integers(1, 4), st.integers(1, 3))
async def test_whatever_the_order_each_has_its_row_and_limits_hold(
    asked: list[tuple[int, int]], max_size: int, in_flight: int
) -> None:
    under_way, most = 0, 0

    async def load(keys: Sequence[int]) -> dict[int, int]:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        assert len(keys) <= max_size
        await _turns(3)
        under_way -= 1
        return {key: key * 10 for key in keys}

    row = tune.batch(load, max_size=max_size, in_flight=in_flight)

    async def ask(key: int, later: int) -> int | None:
        await _turns(later)
        return await row(key)

    assert await asyncio.gather(*(ask(*each) for each in asked)) == [key * 10 for key, _ in asked]
    assert most <= in_flight
