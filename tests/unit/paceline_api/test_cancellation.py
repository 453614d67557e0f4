"""A task that is cancelled ends, or is left behind after a while; nobody waits for it for ever."""

import asyncio
from contextlib import suppress

import pytest
from paceline_api import cancellation


async def swallows(times: int) -> None:
    for _ in range(times):
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(3600)


async def goes_on_until(ended: asyncio.Event) -> None:
    while not ended.is_set():
        with suppress(asyncio.CancelledError):
            await ended.wait()


async def test_a_task_ends() -> None:
    task = asyncio.create_task(asyncio.sleep(3600))
    await cancellation.end(task)
    assert task.cancelled()


async def test_one_that_swallows_it_is_cancelled_again() -> None:
    task = asyncio.create_task(swallows(2))
    await asyncio.sleep(0)
    await cancellation.end(task)
    assert task.done()


async def test_one_that_goes_on_is_left_and_named(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()
    task = asyncio.create_task(goes_on_until(ended))
    await asyncio.sleep(0)
    await cancellation.end(task, seconds=0.3)
    went_on = not task.done()
    ended.set()  # first of all: a loop that closes would wait for this task for ever
    await task
    assert went_on
    assert "goes_on_until went on for 0.3 s after it was cancelled" in caplog.text


async def test_what_it_raised_is_not_raised() -> None:
    async def fails() -> None:
        raise ValueError

    await cancellation.end(asyncio.create_task(fails()))
