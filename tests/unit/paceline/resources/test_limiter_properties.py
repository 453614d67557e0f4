"""Every order of asking, giving back, cancelling, timing out and moving the limit."""

import asyncio
from typing import Any

import pytest
from examples import examples
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from paceline.errors import AcquireTimeout
from paceline.resources.limiter import Limiter


class LimiterMachine(RuleBasedStateMachine):
    """Each rule is one event; by default everything that can run then runs, but two events may fall into one turn."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limiter = Limiter("p", 2)
        self.waiting: list[asyncio.Task[float]] = []
        self.held: list[float] = []
        self.highest_allowed = 2

    def teardown(self) -> None:
        self.limiter.set_limit(1000)
        self.settle()
        assert self.waiting == [], "somebody starved"
        for granted in self.held:
            self.limiter.release(granted)
        assert self.limiter.in_use == 0
        self.loop.close()

    def settle(self) -> None:
        async def turns() -> None:
            for _ in range(4):
                await asyncio.sleep(0)

        self.loop.run_until_complete(turns())
        done = [task for task in self.waiting if task.done()]
        left = [task for task in self.waiting if not task.done()]
        granted = [task for task in done if not task.cancelled() and task.exception() is None]
        latest = max((self.waiting.index(task) for task in granted), default=-1)
        assert all(self.waiting.index(task) > latest for task in left), "somebody overtook"
        self.held += [task.result() for task in granted]
        self.waiting = left

    @rule(timeout=st.none() | st.just(0.0))
    def ask(self, timeout: float | None) -> None:
        self.waiting.append(self.loop.create_task(self.limiter.acquire(timeout)))
        if timeout is None:
            self.settle()
            return

        async def wait_for_the_alarm(task: asyncio.Task[Any]) -> None:
            await asyncio.wait({task}, timeout=1)

        self.loop.run_until_complete(wait_for_the_alarm(self.waiting[-1]))
        task = self.waiting[-1]
        assert task.done()
        assert task.exception() is None or isinstance(task.exception(), AcquireTimeout)
        self.settle()

    @rule()
    def give_back(self) -> None:
        if self.held:
            self.limiter.release(self.held.pop(0))
            self.settle()

    @rule(which=st.integers(0, 50))
    def cancel(self, which: int) -> None:
        if self.waiting:
            self.waiting[which % len(self.waiting)].cancel()
            self.settle()

    @rule(which=st.integers(0, 50))
    def give_back_and_cancel_in_one_turn(self, which: int) -> None:
        if self.held and self.waiting:
            self.limiter.release(self.held.pop(0))
            self.waiting[which % len(self.waiting)].cancel()
            self.settle()

    @rule(limit=st.integers(1, 6))
    def move_the_limit(self, limit: int) -> None:
        self.limiter.set_limit(limit)
        self.settle()

    @invariant()
    def permits_are_counted_and_bounded(self) -> None:
        assert self.limiter.in_use == len(self.held)
        # Right after a shrink more may be out, but never more than before it.
        self.highest_allowed = max(self.limiter.limit, min(self.highest_allowed, self.limiter.in_use))
        assert self.limiter.in_use <= self.highest_allowed

    @invariant()
    def nobody_waits_while_a_permit_is_free(self) -> None:
        assert self.limiter.waiting == len(self.waiting)
        assert not self.waiting or self.limiter.in_use >= self.limiter.limit


LimiterMachine.TestCase.settings = settings(max_examples=examples(60), stateful_step_count=40, deadline=None)
TestLimiter = pytest.mark.fuzz(pytest.mark.invariant(LimiterMachine.TestCase))
