"""The limiter's promises, each by itself; `test_limiter_properties.py` tries every order of events."""

import asyncio

import pytest
from paceline.errors import AcquireTimeout, PoolError
from paceline.resources.limiter import Limiter


async def turns(number: int = 5) -> None:
    """Lets every task that can run, run."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_permits_go_out_first_come_first_served() -> None:
    limiter = Limiter("p", 1)
    order: list[int] = []

    async def use(number: int) -> None:
        granted = await limiter.acquire()
        order.append(number)
        await turns(1)
        limiter.release(granted)

    await asyncio.gather(*(use(number) for number in range(6)))
    assert order == [0, 1, 2, 3, 4, 5]


async def test_a_late_comer_does_not_overtake_the_queue() -> None:
    limiter = Limiter("p", 1)
    first = await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await turns()
    limiter.release(first)
    late = asyncio.create_task(limiter.acquire())
    await turns()
    assert waiting.done()
    assert not late.done()
    limiter.release(await waiting)
    limiter.release(await late)


async def test_a_shrink_takes_nothing_back_and_lends_nothing_until_enough_returned() -> None:
    limiter = Limiter("p", 3)
    granted = [await limiter.acquire() for _ in range(3)]
    limiter.set_limit(1)
    waiting = asyncio.create_task(limiter.acquire())
    await turns()
    assert (limiter.in_use, limiter.waiting) == (3, 1)
    limiter.release(granted.pop())
    limiter.release(granted.pop())
    await turns()
    assert not waiting.done()
    limiter.release(granted.pop())
    limiter.release(await waiting)
    assert limiter.in_use == 0


async def test_a_growth_serves_the_queue_at_once() -> None:
    limiter = Limiter("p", 1)
    await limiter.acquire()
    waiting = [asyncio.create_task(limiter.acquire()) for _ in range(4)]
    await turns()
    limiter.set_limit(3)
    await turns()
    assert [task.done() for task in waiting] == [True, True, False, False]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_waiter_cancelled_in_the_moment_it_is_granted_passes_the_permit_on() -> None:
    limiter = Limiter("p", 1)
    first = await limiter.acquire()
    unlucky, lucky = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.acquire())
    await turns()
    limiter.release(first)
    unlucky.cancel()
    limiter.release(await lucky)
    assert unlucky.cancelled()
    assert (limiter.in_use, limiter.waiting) == (0, 0)


async def test_a_timeout_is_counted_named_and_leaves_the_queue() -> None:
    limiter = Limiter("postgres", 1)
    first = await limiter.acquire()
    with pytest.raises(
        AcquireTimeout, match=r"pool 'postgres': .* within 0\.01 s \(1 in use, limit 1, 0 more"
    ) as caught:
        await limiter.acquire(timeout=0.01)
    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, PoolError)
    assert (limiter.timeouts, limiter.waiting) == (1, 0)
    limiter.release(first)
    limiter.release(await limiter.acquire(timeout=0.01))


async def test_wait_and_hold_are_measured() -> None:
    now = [100.0]
    limiter = Limiter("p", 1, clock=lambda: now[0])
    first = await limiter.acquire()
    waiting = asyncio.create_task(limiter.acquire())
    await turns()
    now[0] += 2.0
    limiter.release(first)
    second = await waiting
    now[0] += 0.5
    limiter.release(second)
    wait, hold = limiter.wait.to_json(), limiter.hold.to_json()
    assert (wait["count"], wait["zeroCount"], wait["sum"]) == (2, 1, 2.0)
    assert (hold["count"], hold["sum"]) == (2, 2.5)


def test_it_is_made_before_any_loop_and_used_in_one_after_another() -> None:
    limiter = Limiter("p", 1)

    async def use() -> None:
        first = await limiter.acquire()
        second = asyncio.create_task(limiter.acquire())
        await turns()
        limiter.release(first)
        limiter.release(await second)

    asyncio.run(use())
    asyncio.run(use())
    assert limiter.in_use == 0


@pytest.mark.invariant
def test_a_waiter_whose_loop_was_closed_takes_no_permit_and_raises_nothing_in_the_next() -> None:
    limiter = Limiter("p", 1)

    async def wait() -> tuple[float, asyncio.Task[float]]:
        first = await limiter.acquire()
        waiting = asyncio.create_task(limiter.acquire())
        await turns()
        return first, waiting

    loop = asyncio.new_event_loop()
    first, abandoned = loop.run_until_complete(wait())
    loop.close()  # with a task that is neither done nor cancelled
    limiter.release(first)
    assert (limiter.in_use, limiter.waiting) == (0, 0)
    assert asyncio.run(limiter.acquire()) > 0
    abandoned._log_destroy_pending = False  # type: ignore[attr-defined]  # that it was left is the point
