"""When the process says that it must be started anew."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from kubernetes.aio.client import Configuration
from paceline_operator.loop.supervisor import LoopSupervisor
from paceline_operator.ports import PolicyKey
from paceline_operator.watching import Watching
from paceline_operator.wiring import WATCHED, OperatorProcess, Unhealthy

KEY = PolicyKey("shop", "api")


WORKLOAD = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"namespace": KEY.namespace, "name": "api", "uid": "w"},
}


class Clock:
    """Moves only when told."""

    seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class StuckReconciler:
    """A pass that never ends."""

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        await asyncio.Event().wait()
        raise AssertionError


class Wired:
    """A process as kopf would surround it: one watcher task for each kind and namespace."""

    def __init__(self, *namespaces: str) -> None:
        self.clock = Clock()
        self.supervisor = LoopSupervisor(StuckReconciler(), random=lambda: 0.5, clock=self.clock)
        self.budgets = LoopSupervisor(StuckReconciler(), random=lambda: 0.5, clock=self.clock)
        self.process = OperatorProcess(self.supervisor, self.budgets, Watching(), Configuration(), namespaces)
        self.watchers = [
            asyncio.create_task(asyncio.Event().wait(), name=f"watcher for {kind}.v1.group@{namespace}")
            for kind in WATCHED
            for namespace in namespaces or (None,)
        ]

    async def close(self) -> None:
        for watcher in self.watchers:
            watcher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self.watchers)
        await self.process.stop()


@pytest_asyncio.fixture
async def wired() -> AsyncIterator[Wired]:
    built = Wired("shop", "data")
    await asyncio.sleep(0)
    yield built
    await built.close()


async def test_a_process_at_work_is_healthy(wired: Wired) -> None:
    wired.supervisor.wake(KEY)
    assert wired.process.check_health() == {"policies": 1, "overdueSeconds": 0.0}


async def test_a_policy_has_a_loop_only_in_the_operator_of_its_class(wired: Wired) -> None:
    def told(generation: int, **spec: str) -> None:
        metadata = {"namespace": KEY.namespace, "name": KEY.name, "uid": "u", "generation": generation}
        body = {"metadata": metadata, "spec": {"targetRef": {"name": "api"}, **spec}}
        wired.process.policy_event(body, deleted=False)

    told(1, operatorClass="batch")
    wired.process.workload_event(WORKLOAD, deleted=True)
    assert wired.supervisor.keys == set()
    told(2)
    assert wired.supervisor.keys == {KEY}
    told(3, operatorClass="batch")
    assert wired.supervisor.keys == set()


async def test_a_watch_that_is_missing_is_seen(wired: Wired) -> None:
    wired.watchers[0].cancel()
    await asyncio.sleep(0)
    with pytest.raises(Unhealthy, match="7 of 8 watches"):
        wired.process.check_health()


async def test_a_pass_that_hangs_is_seen(wired: Wired) -> None:
    wired.supervisor.wake(KEY)
    wired.clock.seconds += 299
    wired.process.check_health()
    wired.clock.seconds += 2
    with pytest.raises(Unhealthy, match="0:05:01 late"):
        wired.process.check_health()


async def test_a_pass_over_a_budget_that_is_late_is_told_as_well(wired: Wired) -> None:
    wired.budgets.wake(KEY)
    wired.clock.seconds += 130
    assert wired.process.overdue == timedelta(seconds=130)
    assert wired.process.check_health()["overdueSeconds"] == 130


async def test_loops_that_ended_are_seen_and_end_the_process(wired: Wired) -> None:
    wired.supervisor.stop()
    await asyncio.wait_for(wired.process.ended.wait(), 30)
    assert wired.process.failed
    with pytest.raises(Unhealthy, match="have ended"):
        wired.process.check_health()


async def test_loops_that_were_stopped_are_no_failure(wired: Wired) -> None:
    await wired.process.stop()
    assert wired.process.ended.is_set()
    assert not wired.process.failed


async def test_what_is_left_is_done_once_after_the_loops_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paceline_operator.wiring.LONGEST_LAST", timedelta(milliseconds=1))
    begun: list[bool] = []

    async def at_last() -> None:
        begun.append(process.ended.is_set())
        await asyncio.Event().wait()

    supervisors = [LoopSupervisor(StuckReconciler(), random=lambda: 0.5, clock=Clock()) for _ in range(2)]
    process = OperatorProcess(*supervisors, Watching(), Configuration(), (), at_last=at_last)
    await process.stop()
    await process.stop()

    assert begun == [True]
