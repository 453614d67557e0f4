"""One loop per policy: woken, forgotten, never dead. Time is looptime's: seconds cost nothing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import wraps

import looptime
import pytest
from paceline_operator.loop.supervisor import LoopSupervisor
from paceline_operator.ports import PolicyKey

ONE, TWO = PolicyKey("shop", "one"), PolicyKey("shop", "two")


def in_no_time(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Runs the test on a loop whose clock jumps to the next timer. A loop of its own: looptime's plugin is off."""

    @wraps(test)
    def run() -> None:
        with asyncio.Runner(loop_factory=lambda: looptime.new_event_loop(start=0)) as runner:
            runner.run(test())

    return run


class Passes:
    """Stands for the reconciler: notes when it was called."""

    def __init__(self, wait: float = 60, failures: int = 0, seconds: float = 0) -> None:
        self.at: list[tuple[PolicyKey, float]] = []
        self.wait = timedelta(seconds=wait)
        self.failures = failures
        self.seconds = seconds
        self.hanging = False

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        self.at.append((key, asyncio.get_running_loop().time()))
        if self.hanging:
            await asyncio.Event().wait()
        await asyncio.sleep(self.seconds)
        if self.failures:
            self.failures -= 1
            raise RuntimeError("the world is down")
        return self.wait

    def times(self, key: PolicyKey = ONE) -> list[float]:
        return [time for found, time in self.at if found == key]


@asynccontextmanager
async def running(passes: Passes, random: float = 0.5) -> AsyncIterator[LoopSupervisor]:
    supervisor = LoopSupervisor(passes, random=lambda: random, clock=asyncio.get_running_loop().time)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(0)
    yield supervisor
    supervisor.stop()
    await task


@in_no_time
async def test_a_woken_policy_is_worked_on_at_once_and_then_when_its_passes_ask() -> None:
    passes = Passes(wait=60)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(121)

    assert passes.times() == pytest.approx([0, 60, 120], abs=0.2)


@in_no_time
async def test_an_event_brings_the_next_pass_forward() -> None:
    passes = Passes(wait=60)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(10)
        supervisor.wake(ONE)
        await asyncio.sleep(1)

    assert passes.times() == pytest.approx([0, 10], abs=0.1)


@in_no_time
async def test_a_burst_of_events_costs_few_passes() -> None:
    passes = Passes()
    async with running(passes) as supervisor:
        for _ in range(100):
            supervisor.wake(ONE)
            await asyncio.sleep(0.001)
        await asyncio.sleep(1)

    assert len(passes.times()) <= 4


@in_no_time
async def test_a_wake_before_the_start_is_not_lost() -> None:
    passes = Passes()
    supervisor = LoopSupervisor(passes, random=lambda: 0.5, clock=asyncio.get_running_loop().time)
    supervisor.wake(ONE)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(1)
    supervisor.stop()
    await task

    assert len(passes.times()) == 1


@in_no_time
async def test_long_waits_are_spread_and_polls_are_not() -> None:
    late, early = Passes(wait=60), Passes(wait=0.2)
    async with running(late, random=0.999) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(66.5)
    async with running(early, random=0.999) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(0.45)

    assert late.times()[1] == pytest.approx(66, abs=0.2)
    assert early.times()[1] - early.times()[0] == pytest.approx(0.25, abs=0.06)


@in_no_time
async def test_failures_back_off_and_end_with_the_first_success() -> None:
    passes = Passes(wait=60, failures=3)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(30)

    assert passes.times() == pytest.approx([0, 1, 3, 7], abs=1.0)


@in_no_time
async def test_one_policy_that_fails_does_not_hold_up_another() -> None:
    passes = Passes(wait=10, failures=1)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        supervisor.wake(TWO)
        await asyncio.sleep(25)

    assert len(passes.times(TWO)) >= 2


@in_no_time
async def test_a_forgotten_policy_has_one_pass_more_is_left_alone_and_may_come_back() -> None:
    passes = Passes(wait=60)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(0.5)
        supervisor.forget(ONE)
        assert supervisor.keys == frozenset()
        await asyncio.sleep(100)
        assert passes.times() == pytest.approx([0, 0.5], abs=0.1)
        assert {task.get_name() for task in asyncio.all_tasks()} & {f"policy {ONE}"} == set()
        assert supervisor.last_pass_age == supervisor.overdue == timedelta()
        supervisor.wake(ONE)
        await asyncio.sleep(0.5)

    assert len(passes.times()) == 3


@in_no_time
async def test_a_pass_that_is_under_way_when_its_policy_is_forgotten_is_not_the_last() -> None:
    passes = Passes(wait=60, seconds=5)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(1)
        supervisor.forget(ONE)
        await asyncio.sleep(100)

    assert passes.times() == pytest.approx([0, 5], abs=0.5)


@in_no_time
async def test_the_last_pass_of_a_forgotten_policy_is_tried_until_it_succeeds() -> None:
    passes = Passes(wait=60)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(0.5)
        passes.failures = 2
        supervisor.forget(ONE)
        await asyncio.sleep(100)

    assert passes.times() == pytest.approx([0, 0.5, 1.5, 3.5], abs=0.5)


@in_no_time
async def test_a_policy_that_comes_back_during_its_last_pass_keeps_its_loop() -> None:
    passes = Passes(wait=60, seconds=5)
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(10)
        supervisor.forget(ONE)
        await asyncio.sleep(1)
        supervisor.wake(ONE)
        assert supervisor.keys == {ONE}
        await asyncio.sleep(80)

    assert passes.times() == pytest.approx([0, 10, 15, 80], abs=0.5)


@in_no_time
async def test_a_policy_that_went_before_the_start_has_no_pass() -> None:
    passes = Passes()
    supervisor = LoopSupervisor(passes, random=lambda: 0.5, clock=asyncio.get_running_loop().time)
    supervisor.wake(ONE)
    supervisor.forget(ONE)
    task = asyncio.create_task(supervisor.run())
    await asyncio.sleep(1)
    supervisor.stop()
    await task

    assert passes.times() == []


@in_no_time
async def test_a_loop_that_hangs_grows_overdue() -> None:
    passes = Passes(wait=10)
    async with running(passes) as supervisor:
        assert supervisor.last_pass_age == timedelta()
        supervisor.wake(ONE)
        await asyncio.sleep(5)
        assert supervisor.overdue == timedelta()
        passes.hanging = True
        await asyncio.sleep(105)

        assert supervisor.last_pass_age.total_seconds() == pytest.approx(110, abs=2)
        assert supervisor.overdue.total_seconds() == pytest.approx(100, abs=2)


@in_no_time
async def test_nothing_is_left_running_after_the_end() -> None:
    passes = Passes()
    async with running(passes) as supervisor:
        supervisor.wake(ONE)
        await asyncio.sleep(1)

    assert {task.get_name() for task in asyncio.all_tasks()} & {f"policy {ONE}"} == set()
