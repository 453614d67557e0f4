"""What is cancelled at the end of a worker: it may clean up, and what goes on all the same holds nobody up."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from paceline.serve import deadlines
from paceline.serve.worker.left_behind import end_others

A_MOMENT = 0.05
LONG = 60.0


class Stubborn:
    """A poller that ignores its cancellation until the test is over."""

    def __init__(self) -> None:
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def poll(self) -> None:
        while not self._over.is_set():
            try:
                await self._over.wait()
            except asyncio.CancelledError:
                continue

    def start(self, *_: object) -> None:
        self._tasks.append(asyncio.create_task(self.poll()))

    async def end(self) -> None:
        self._over.set()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@pytest.fixture
async def stubborn() -> AsyncIterator[Stubborn]:
    poller = Stubborn()
    yield poller
    await poller.end()


async def begun(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.create_task(work)
    await asyncio.sleep(0)
    return task


async def finally_does(action: Callable[[], object]) -> None:
    try:
        await asyncio.sleep(LONG)
    finally:
        action()


def others() -> set[asyncio.Task[Any]]:
    """What `asyncio.run` would wait for."""
    return asyncio.all_tasks() - {asyncio.current_task()}


async def test_what_ends_is_waited_for_and_not_named() -> None:
    seen: list[str] = []
    await begun(finally_does(lambda: seen.append("cleaned up")))
    assert await end_others(LONG) == []
    assert seen == ["cleaned up"]


async def test_what_ignores_its_cancellation_is_left_behind(stubborn: Stubborn) -> None:
    stubborn.start()
    await asyncio.sleep(0)
    assert await end_others(A_MOMENT) == ["Stubborn.poll"]
    assert not others()


async def test_what_is_started_in_a_cleanup_is_left_behind_too(stubborn: Stubborn) -> None:
    await begun(finally_does(stubborn.start))
    assert await end_others(A_MOMENT) == ["Stubborn.poll"]
    assert not others()


async def test_what_is_started_in_a_done_callback_is_left_behind_too(stubborn: Stubborn) -> None:
    (await begun(asyncio.sleep(LONG))).add_done_callback(stubborn.start)
    assert await end_others(A_MOMENT) == ["Stubborn.poll"]
    assert not others()


async def test_what_is_started_again_for_ever_is_left_behind() -> None:
    started: list[asyncio.Task[None]] = []

    def start(*_: object) -> None:
        if not over:
            started.append(asyncio.create_task(asyncio.sleep(LONG), name="again"))
            started[-1].add_done_callback(start)

    over = False
    start()
    assert await end_others(LONG) == ["sleep"]
    assert not others()
    over = True
    started[-1].cancel()
    await asyncio.wait(started)


async def test_what_a_cleanup_waits_for_is_not_cancelled() -> None:
    """Such as a pool that is closed in a task: `wait_for` and `gather` make some."""
    seen: list[str] = []

    async def close() -> None:
        await asyncio.sleep(A_MOMENT)
        seen.append("closed")

    async def work() -> None:
        try:
            await asyncio.sleep(LONG)
        finally:
            await asyncio.wait_for(close(), LONG)

    await begun(work())
    assert await end_others(LONG) == []
    assert seen == ["closed"]


async def test_what_was_started_late_may_clean_up_although_another_takes_all_the_time(stubborn: Stubborn) -> None:
    seen: list[str] = []
    late: list[asyncio.Task[None]] = []
    stubborn.start()
    await begun(finally_does(lambda: late.append(asyncio.create_task(finally_does(lambda: seen.append("cleaned up"))))))
    assert await end_others(A_MOMENT) == ["Stubborn.poll"]
    assert seen == ["cleaned up"]
    assert late[0].cancelled()


def test_a_worker_told_to_end_at_once_has_ended_before_the_pod_is_killed() -> None:
    """Else a stop by SIGQUIT counts as unclean. A second is for processes that wait for a processor."""
    looks = 0.3  # until the server's loop and the drain have noticed
    assert looks + deadlines.AT_ONCE_CLEANUP_SECONDS + 1 <= deadlines.AT_ONCE_STOP_SECONDS
