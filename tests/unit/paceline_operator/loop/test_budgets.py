"""A policy under a ConnectionBudget: what the two loops write, and what they say where they do not."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest
from budget_schedules import BUDGET, NOW, ModelCluster, ModelWorkload, adopt, divide_once, tune_once, values
from paceline_operator.core.budget.ledger import NoRoom
from paceline_operator.core.budget.worst_case import Shape
from paceline_operator.crd.budget_status import differs, ledger
from paceline_operator.crd.document import parse_document
from paceline_operator.loop.budget import BudgetReconciler
from paceline_operator.ports import PolicyKey
from paceline_operator.settings import OperatorSettings

API = PolicyKey("shop", "api")
Add = Callable[..., ModelWorkload]


@pytest.fixture
def cluster() -> ModelCluster:
    return ModelCluster(24)


@pytest.fixture
def add(cluster: ModelCluster) -> Add:
    def make(name: str, start: int = 2, *, mode: str = "Auto", pods: int = 2, **entry: Any) -> ModelWorkload:
        reference = {"name": BUDGET.name, "namespace": BUDGET.namespace}
        spec = {
            "targetRef": {"name": name},
            "mode": mode,
            "objective": {"p95": "50ms"},
            "pools": [{"name": "postgres", "budgetRef": reference, **(entry or {"min": 1, "max": 12})}],
        }
        key = PolicyKey("shop", name)
        made = ModelWorkload(key, values(1, start), pods, Shape(in_place=True), None, spec)
        cluster.workloads[key] = made
        for _ in range(pods):
            cluster.born(made)
        return made

    return make


async def passes(cluster: ModelCluster, *keys: PolicyKey, size: int = 0) -> None:
    await divide_once(cluster)
    for key in keys:
        await tune_once(cluster, key, values(1, size) if size else {})
    for workload in cluster.workloads.values():
        for pod in workload.pods.values():
            adopt(workload, pod)
            pod.held = 0
    await divide_once(cluster)


def condition(status: Mapping[str, Any], name: str) -> tuple[str, str, str]:
    found = next(each for each in status["conditions"] if each["type"] == name)
    return found["status"], found["reason"], found["message"]


def size_of(workload: ModelWorkload) -> int | None:
    return int(values_of(workload)["postgres"]) if workload.document else None


def values_of(workload: ModelWorkload) -> Mapping[str, float]:
    assert workload.document is not None
    return {str(tunable): value for tunable, value in parse_document(workload.document).values.items()}


async def test_a_raise_is_reserved_before_it_is_written(cluster: ModelCluster, add: Add) -> None:
    api = add("api")
    await divide_once(cluster)
    assert ledger(cluster.status)["shop/api"].total == 4
    await tune_once(cluster, API, values(1, 12))
    assert ledger(cluster.status)["shop/api"].total == 24
    assert size_of(api) == 12


async def test_what_does_not_fit_is_not_written(cluster: ModelCluster, add: Add) -> None:
    api, _ = add("api"), add("jobs", 2)
    await divide_once(cluster)
    with pytest.raises(NoRoom, match=r"24 for shop/api and 4 that others hold are 28 of 24"):
        await tune_once(cluster, API, values(1, 12))
    assert api.document is None


async def test_connections_are_given_before_they_are_taken(cluster: ModelCluster, add: Add) -> None:
    """Two phases across workloads: whoever gives has acked before anyone grows."""
    add("api", 12)
    jobs = add("jobs", 2)
    cluster.connections = 28
    await divide_once(cluster)
    await tune_once(cluster, API, values(1, 4))
    await divide_once(cluster)
    with pytest.raises(NoRoom):
        await tune_once(cluster, jobs.key, values(1, 5))
    for pod in cluster.workloads[API].pods.values():
        adopt(cluster.workloads[API], pod)
    await divide_once(cluster)
    with pytest.raises(NoRoom):  # the limits are lower, and connections are open still
        await tune_once(cluster, jobs.key, values(1, 5))
    for pod in cluster.workloads[API].pods.values():
        pod.held = 0
    await divide_once(cluster)
    await tune_once(cluster, jobs.key, values(1, 5))
    assert size_of(jobs) == 5


async def test_a_budget_that_is_lowered_shrinks_at_once(cluster: ModelCluster, add: Add) -> None:
    api = add("api", 12)
    await passes(cluster, API)
    cluster.connections = 10
    cluster.budget_version += 1
    await passes(cluster, API)
    assert size_of(api) == 5
    assert condition(cluster.status, "WithinBudget") == ("True", "Fits", "10 of 10 at the worst")


async def test_minimums_that_do_not_fit_name_the_number(cluster: ModelCluster, add: Add) -> None:
    add("api", 12, min=8, max=12)
    cluster.connections = 10
    await passes(cluster, API)
    status, reason, message = condition(cluster.status, "WithinBudget")
    assert (status, reason) == ("False", "BudgetExhausted")
    assert "need 16 alone: raise maxConnections by 6" in message


@pytest.mark.parametrize("entry", [{"mode": "Recommend"}, {"mode": "Off"}])
async def test_what_only_watches_is_counted_at_what_it_runs(
    cluster: ModelCluster, add: Add, entry: dict[str, Any]
) -> None:
    add("jobs", 5, **entry)
    await divide_once(cluster)
    (member,) = cluster.status["members"]
    assert (member["worst"], member["share"]) == (10, 10)
    assert member["message"] == "2 pods (2 by spec.replicas) × 5 connections = 10; only counted"


async def test_a_policy_of_another_operator_class_is_named_and_counted_as_it_scales(
    cluster: ModelCluster, add: Add
) -> None:
    add("api", 2)
    theirs = add("jobs", 2)
    await divide_once(cluster)
    assert theirs.spec is not None
    theirs.spec = {**theirs.spec, "operatorClass": "batch"}
    for _ in range(8):
        cluster.born(theirs)
    theirs.replicas = 10
    await divide_once(cluster)
    status, reason, message = condition(cluster.status, "WithinBudget")
    assert (status, reason) == ("False", "OtherOperatorClass")
    assert "shop/jobs is of operatorClass 'batch', this budget of ''" in message
    assert {each["policy"]: (each["worst"], each["share"]) for each in cluster.status["members"]}["shop/jobs"] == (
        20,
        20,
    )

    theirs.spec = {**theirs.spec, "pools": [{"name": "postgres", "value": 2}]}
    await divide_once(cluster)
    assert [each["policy"] for each in cluster.status["members"]] == ["shop/api"]


async def test_a_budget_of_another_operator_class_is_left_alone(cluster: ModelCluster, add: Add) -> None:
    add("api", 2)
    cluster.operator_class = "batch"
    await divide_once(cluster)
    assert cluster.status == {}


async def test_a_policy_that_is_deleted_counts_as_long_as_its_pods(cluster: ModelCluster, add: Add) -> None:
    api = add("api", 5)
    await passes(cluster)
    api.spec = None
    await divide_once(cluster)
    assert [(each["mode"], each["worst"]) for each in cluster.status["members"]] == [("Gone", 10)]
    api.pods.clear()
    api.replicas = 0
    await divide_once(cluster)
    assert cluster.status["members"] == []


async def test_an_unreachable_pod_keeps_what_it_had(cluster: ModelCluster, add: Add) -> None:
    api = add("api", 8)
    await passes(cluster)
    silent = next(iter(api.pods.values()))
    silent.reachable = False
    await tune_once(cluster, API, values(1, 2))
    for pod in api.pods.values():
        adopt(api, pod) if pod.reachable else None
        pod.held = 0
    await divide_once(cluster)
    assert ledger(cluster.status)["shop/api"].total == 16
    assert condition(cluster.status, "Settled")[:2] == ("False", "NotConverged")


async def test_a_member_that_nobody_has_seen_stops_all_growth(cluster: ModelCluster, add: Add) -> None:
    api, new = add("api"), add("new")
    for pod in new.pods.values():
        pod.reachable = False
    await divide_once(cluster)
    assert condition(cluster.status, "WithinBudget")[:2] == ("False", "MemberUnseen")
    with pytest.raises(NoRoom, match="not been counted"):
        await tune_once(cluster, API, values(1, 3))
    assert api.document is None


async def test_what_was_reserved_by_one_who_died_is_released_by_another_document(
    cluster: ModelCluster, add: Add
) -> None:
    api = add("api")
    await passes(cluster)
    sleeping = tune_once(cluster, API, values(1, 12))
    for _ in range(8):
        sleeping.send(None)
    assert ledger(cluster.status)["shop/api"].total == 24
    sleeping.close()
    await divide_once(cluster)
    assert ledger(cluster.status)["shop/api"].total == 24, "its writer may still wake"
    await passes(cluster, API)
    assert size_of(api) == 2
    assert ledger(cluster.status)["shop/api"].total == 4


async def test_a_budget_at_rest_is_not_written(cluster: ModelCluster, add: Add) -> None:
    add("api")
    await passes(cluster)
    before, version = cluster.status, cluster.budget_version
    await divide_once(cluster)
    assert cluster.budget_version <= version + 1
    assert not differs(before, cluster.status)
    assert NOW.isoformat()[:10] in cluster.status["conditions"][0]["lastTransitionTime"]


async def test_who_joined_after_the_count_is_seen_before_anything_is_written(cluster: ModelCluster, add: Add) -> None:
    api = add("api")
    await divide_once(cluster)
    add("late", 6)
    with pytest.raises(NoRoom, match="shop/late has not been counted yet"):
        await tune_once(cluster, API, values(1, 9))
    assert api.document is None
    await tune_once(cluster, API, values(1, 9))
    assert size_of(api) == 2, "what was reserved in vain is released, not used"


async def test_pods_that_an_autoscaler_was_allowed_after_the_count_are_seen(cluster: ModelCluster, add: Add) -> None:
    api, jobs = add("api"), add("jobs")
    await divide_once(cluster)
    jobs.autoscaler = 5
    with pytest.raises(NoRoom, match="by now, 28 of 24 connections may be needed"):
        await tune_once(cluster, API, values(1, 9))
    assert api.document is None


async def test_a_policy_without_its_workload_stops_nobody(cluster: ModelCluster, add: Add) -> None:
    api, lost = add("api"), add("lost", pods=0)
    lost.spec = {**(lost.spec or {}), "targetRef": {"name": "misspelt"}}
    await divide_once(cluster)
    await tune_once(cluster, API, values(1, 9))
    assert size_of(api) == 9


async def test_a_workload_at_zero_stops_nobody_until_it_is_scaled(cluster: ModelCluster, add: Add) -> None:
    api, night = add("api"), add("night", 3, pods=0)
    await divide_once(cluster)
    assert condition(cluster.status, "WithinBudget") == ("True", "Fits", "4 of 24 at the worst")
    await tune_once(cluster, API, values(1, 9))
    assert size_of(api) == 9
    night.replicas = 2
    with pytest.raises(NoRoom, match="shop/night has not been counted yet"):
        await tune_once(cluster, API, values(1, 10))
    cluster.born(night)
    await passes(cluster)
    assert ledger(cluster.status)["shop/night"].total == 6


async def test_a_budget_whose_members_wait_is_looked_at_less_often_the_longer_nothing_moves(
    cluster: ModelCluster, add: Add
) -> None:
    api = add("api", 12)
    cluster.connections = 10  # less than the pods run: they never ack, so that nothing ends it
    clock = [NOW]
    reconciler = BudgetReconciler(
        cluster, cluster, cluster, now=lambda: clock[0], settings=OperatorSettings(), wake=lambda keys: None
    )
    waits = []
    for _ in range(60):
        waits.append((await reconciler.reconcile(BUDGET)).total_seconds())
        clock[0] += timedelta(seconds=waits[-1])
    assert waits[:10] == [1.0] * 10
    assert waits == sorted(waits)
    assert waits[-1] == 15

    api.replicas = 3
    cluster.born(api)
    assert (await reconciler.reconcile(BUDGET)).total_seconds() == 1
