"""An operator that stands by tells nothing of what another one tunes."""

import asyncio
from datetime import timedelta

from modelled_fleet import KEY, PINNED, ModelledFleet
from paceline_operator.figures import PolicyFigures
from paceline_operator.loop.exclusive import STANDBY, ExclusiveBudgets, ExclusiveReconciler
from paceline_operator.ports import PolicyKey
from paceline_operator.telemetry.metrics import Metrics


class Passing:
    """A pass that ends well."""

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        return timedelta(seconds=60)


class Held:
    """The Lease of the namespace, ours until another one has it."""

    holder: str | None = None

    async def other(self, namespace: str) -> str | None:
        return self.holder


def series(metrics: Metrics) -> set[str]:
    """Names of what is told of single policies and budgets."""
    found = (each for family in metrics.registry.collect() for each in family.samples)
    return {each.name for each in found if {"policy", "budget"} & each.labels.keys()}


async def test_what_another_operator_has_taken_over_is_its_own_to_tell() -> None:
    metrics, lease = Metrics(), Held()
    policies = ExclusiveReconciler(Passing(), lease, ModelledFleet(PINNED), figures=metrics.of_policies.tell)
    budgets = ExclusiveBudgets(Passing(), lease, told=metrics.of_policies.tell_budget)
    metrics.of_policies.tell(KEY, PolicyFigures({"ObjectiveMet": "False"}, pods=3, applied=1))
    metrics.of_policies.tell_budget(KEY, {"conditions": [{"type": "WithinBudget", "status": "False"}]})

    for reconciler in (policies, budgets):
        await reconciler.reconcile(KEY)
    assert {"paceline_policy_pods", "paceline_budget_condition"} <= series(metrics)
    lease.holder = "other-1_7"
    for reconciler in (policies, budgets):
        assert await reconciler.reconcile(KEY) == STANDBY
    assert series(metrics) == set()
