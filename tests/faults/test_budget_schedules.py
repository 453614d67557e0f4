"""A budget's sum over workloads, under schedules that hypothesis makes up: passes of two operators stopped between any
two calls, autoscalers, restarts and transactions in the middle of a shrink, workloads that join and leave."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest
from budget_schedules import (
    BUDGET,
    ModelCluster,
    ModelPod,
    ModelWorkload,
    adopt,
    divide_once,
    restart,
    tune_once,
    values,
)
from examples import FUZZING, examples
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from paceline_operator.core.budget import account
from paceline_operator.core.budget.ledger import Count, Entry, NoRoom
from paceline_operator.core.budget.worst_case import Shape
from paceline_operator.crd.budget_status import ledger
from paceline_operator.loop import footprint
from paceline_operator.ports import Conflict, PolicyKey

SHAPES = (Shape(in_place=True), Shape(surge=1, unavailable=0, min_ready_seconds=60), Shape(surge=0, unavailable=1))
MOST_TASKS = 4
BEFORE_THE_WRITE = 8
"""Calls of a policy's pass after which it has reserved and not written."""
ALL = 100


class BudgetSchedules(RuleBasedStateMachine):
    """Potential connections may be above the budget only where an input made them so, and then never grow."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = ModelCluster(0)
        self.tasks: list[Coroutine[Any, Any, object]] = []
        self.excused = 0

    @initialize(connections=st.integers(10, 60))
    def begin(self, connections: int) -> None:
        self.cluster.connections = connections

    # Operators

    @precondition(lambda self: len(self.tasks) < MOST_TASKS)
    @rule()
    def a_budget_pass_begins(self) -> None:
        self._begin(divide_once(self.cluster))

    @precondition(lambda self: len(self.tasks) < MOST_TASKS and self.cluster.workloads)
    @rule(data=st.data(), workers=st.integers(1, 3), size=st.integers(1, 12))
    def a_policy_pass_begins(self, data: st.DataObject, workers: int, size: int) -> None:
        self._begin(tune_once(self.cluster, self._any(data).key, values(workers, size)))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data(), calls=st.sampled_from([1, 4, BEFORE_THE_WRITE, ALL]))
    def a_pass_goes_on(self, data: st.DataObject, calls: int) -> None:
        task = data.draw(st.sampled_from(self.tasks))
        for _ in range(calls):
            if task not in self.tasks:
                break
            self._advance(task)
            self.check()

    @precondition(lambda self: self.cluster.workloads)
    @rule(data=st.data(), workers=st.integers(1, 2), size=st.integers(1, 12))
    def a_round_without_trouble(self, data: st.DataObject, workers: int, size: int) -> None:
        """While others sleep: a wish, the pods follow, the budget is counted."""
        self._finish(tune_once(self.cluster, self._any(data).key, values(workers, size)))
        self.check()
        for pod in self._pods():
            adopt(*pod)
        self._finish(divide_once(self.cluster))

    @precondition(lambda self: self.tasks)
    @rule(data=st.data())
    def an_operator_is_killed(self, data: st.DataObject) -> None:
        task = data.draw(st.sampled_from(self.tasks))
        self.tasks.remove(task)
        task.close()

    # Pods

    @precondition(lambda self: self._pods())
    @rule(data=st.data())
    def a_pod_applies_the_document(self, data: st.DataObject) -> None:
        adopt(*data.draw(st.sampled_from(self._pods())))

    @precondition(lambda self: self._pods())
    @rule(data=st.data())
    def transactions_end(self, data: st.DataObject) -> None:
        data.draw(st.sampled_from(self._pods()))[1].held = 0

    @precondition(lambda self: self._pods())
    @rule(data=st.data())
    def a_container_restarts(self, data: st.DataObject) -> None:
        restart(*data.draw(st.sampled_from(self._pods())))

    @precondition(lambda self: self._pods())
    @rule(data=st.data(), reachable=st.booleans())
    def the_network_parts(self, data: st.DataObject, reachable: bool) -> None:
        data.draw(st.sampled_from(self._pods()))[1].reachable = reachable

    @precondition(lambda self: self.cluster.workloads)
    @rule(data=st.data(), pods=st.integers(1, 4))
    def an_autoscaler_bursts(self, data: st.DataObject, pods: int) -> None:
        workload = self._any(data)
        worst = workload.worst
        for _ in range(pods):
            alive = sum(1 for pod in workload.pods.values() if not pod.terminating)
            if alive < worst.replicas + worst.surge and len(workload.pods) < worst.pods:
                self.cluster.born(workload)

    @precondition(lambda self: self._pods())
    @rule(data=st.data())
    def a_pod_is_told_to_end(self, data: st.DataObject) -> None:
        workload, pod = data.draw(st.sampled_from(self._pods()))
        draining = sum(1 for each in workload.pods.values() if each.terminating)
        pod.terminating = pod.terminating or draining < workload.worst.terminating

    @precondition(lambda self: self._pods())
    @rule(data=st.data())
    def a_pod_ends(self, data: st.DataObject) -> None:
        workload, pod = data.draw(st.sampled_from(self._pods()))
        del workload.pods[pod.uid]

    # People

    @precondition(lambda self: len(self.cluster.workloads) < 3)
    @rule(
        shape=st.sampled_from(SHAPES),
        start=st.integers(1, 4),
        replicas=st.integers(1, 2),
        most=st.integers(1, 3),
        entry=st.sampled_from([{"min": 1, "max": 12}, {"min": 2, "max": 8}, {"value": 3}, {}]),
        mode=st.sampled_from(["Auto", "Auto", "Auto", "Recommend"]),
    )
    def a_workload_joins(
        self, shape: Shape, start: int, replicas: int, most: int, entry: dict[str, int], mode: str
    ) -> None:
        name = f"w{len(self.cluster.workloads)}"
        pool: dict[str, Any] = {"name": "postgres", "budgetRef": {"name": BUDGET.name, "namespace": BUDGET.namespace}}
        spec = {
            "targetRef": {"name": name},
            "mode": mode,
            "objective": {"p95": "50ms"},
            "workers": {"min": 1, "max": 3},
            "pools": [{**pool, **entry}],
        }
        key = PolicyKey("shop", name)
        workload = ModelWorkload(key, values(1, start), replicas, shape, max(most, replicas), spec)
        self.cluster.workloads[key] = workload
        for _ in range(replicas):
            self.cluster.born(workload)
        self._an_input()

    @precondition(lambda self: self.cluster.workloads)
    @rule(data=st.data())
    def a_policy_is_deleted(self, data: st.DataObject) -> None:
        workload = self._any(data)
        workload.spec = None
        workload.stranger = str(workload.key) not in ledger(self.cluster.status)

    @precondition(lambda self: self.cluster.workloads)
    @rule(data=st.data(), most=st.integers(1, 4))
    def an_autoscaler_is_edited(self, data: st.DataObject, most: int) -> None:
        workload = self._any(data)
        workload.autoscaler = max(most, workload.replicas)
        self._an_input()

    @rule(connections=st.integers(10, 60))
    def the_budget_is_edited(self, connections: int) -> None:
        self.cluster.connections = connections
        self.cluster.budget_version += 1
        self._an_input()

    @invariant()
    def check(self) -> None:
        allowed = max(self.cluster.connections, self.excused)
        assert self.cluster.potential <= allowed, f"{self.cluster.potential} of {allowed}"
        if self.excused:
            self.excused = 0 if self.cluster.promised <= self.cluster.connections else self.excused

    def teardown(self) -> None:
        """Left alone, with everybody alive, the ledger comes to what is true, and fits if the minimums do."""
        for task in self.tasks:
            task.close()
        self.tasks.clear()
        for _ in range(8):
            self._all_is_well()
        entries = ledger(self.cluster.status)
        for workload in self.cluster.workloads.values():
            entry = entries.get(str(workload.key))
            # Who waits for room for a pinned value keeps what it has reserved of it.
            calm = workload.pods and workload.spec and "value" not in workload.spec["pools"][0]
            if entry is not None and calm and workload.spec and workload.spec["mode"] == "Auto":
                assert entry.per_pod == workload.per_pod, "what was reserved and not used is given back"
        for condition in self.cluster.status.get("conditions", ()):
            assert condition["reason"] != "Shrinking", condition["message"]

    def _all_is_well(self) -> None:
        """One round of everybody."""
        for workload, pod in self._pods():
            pod.reachable = True
            if pod.terminating:
                del workload.pods[pod.uid]
        for key in self.cluster.workloads:
            self._finish(tune_once(self.cluster, key, {}))
        for workload, pod in self._pods():
            adopt(workload, pod)
            pod.held = 0
        self._finish(divide_once(self.cluster))

    def _begin(self, task: Coroutine[Any, Any, object]) -> None:
        self.tasks.append(task)

    def _advance(self, task: Coroutine[Any, Any, object]) -> None:
        try:
            task.send(None)
        except (StopIteration, Conflict, NoRoom):
            self.tasks.remove(task)

    def _finish(self, task: Coroutine[Any, Any, object]) -> None:
        with suppress(StopIteration, Conflict, NoRoom):
            while True:
                task.send(None)

    def _any(self, data: st.DataObject) -> ModelWorkload:
        return data.draw(st.sampled_from(list(self.cluster.workloads.values())))

    def _pods(self) -> list[tuple[ModelWorkload, ModelPod]]:
        return [(each, pod) for each in self.cluster.workloads.values() for pod in each.pods.values()]

    def _an_input(self) -> None:
        """What a person or a controller does may break the sum: from then on it must not get worse."""
        if self.cluster.promised > self.cluster.connections:
            self.excused = max(self.excused, self.cluster.promised)


class NobodyEdits(BudgetSchedules):
    """Without the inputs that excuse: what is left is all ours."""

    the_budget_is_edited = None  # type: ignore[assignment]
    an_autoscaler_is_edited = None  # type: ignore[assignment]
    a_policy_is_deleted = None  # type: ignore[assignment]


def profile(few: int, **changes: Any) -> settings:
    return settings(
        max_examples=examples(few),
        stateful_step_count=60,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        **changes,
    )


@pytest.mark.fuzz
@pytest.mark.invariant
def test_the_sum_holds_under_any_schedule() -> None:
    run_state_machine_as_test(BudgetSchedules, settings=profile(150))


async def _nothing_reserved(*_: object) -> None:
    """Who wants more just writes it."""


def _a_lease(entry: Entry | None, count: Count) -> Entry | None:
    """What was reserved and not written in time is taken back."""
    known = count.per_pod if count.per_pod is not None else entry.per_pod if entry else None
    return None if known is None else Entry(known, count.pods, count.generation)


@pytest.mark.fuzz
@pytest.mark.skipif(not FUZZING, reason="fuzz: run by `make fuzz`")
@pytest.mark.parametrize(
    ("module", "name", "broken"),
    [
        pytest.param("budget_schedules", "reserve", _nothing_reserved, id="no ledger"),
        pytest.param(account, "settled", _a_lease, id="a lease"),
        pytest.param(
            footprint, "acked", lambda state, generation: state.generation == generation, id="limits, not open"
        ),
        pytest.param(footprint, "_settled", lambda gathered: True, id="unseen pods forgotten"),
    ],
)
def test_a_builder_that_is_broken_on_purpose_is_found(
    module: Any, name: str, broken: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(module, str):
        monkeypatch.setattr(f"{module}.{name}", broken)
    else:
        monkeypatch.setattr(module, name, broken)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(
            NobodyEdits, settings=profile(500, phases=[Phase.generate], derandomize=True, database=None)
        )
