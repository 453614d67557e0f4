"""A policy that names no workers: what pods run of them counts, and is never written."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, Service, start_values
from paceline_operator.core.laws.constraints import within_budgets
from paceline_operator.core.measure.window import Window
from paceline_operator.core.model.policy import Mode
from paceline_operator.core.situation.situation import Budget
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.loop.gather import gather
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.loop.think import think
from paceline_operator.loop.understand import understand

UNNAMED = {name: value for name, value in CHOOSING.items() if name != "workers"}
Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


@pytest.mark.parametrize("most", [2, 20])
async def test_they_are_not_written(reconciler_of: Make, drive: Drive, most: int) -> None:
    busy = Service(requests_per_second=900, query_seconds=0.02)
    pools = [{"name": "postgres", "min": 1, "max": most}]
    fleet = ModelledFleet({**UNNAMED, "pools": pools}, start=start_values(3, 1), service=busy)

    await drive(reconciler_of(fleet), fleet, 90)

    assert fleet.document_now is not None
    assert "workers" not in fleet.document_now["values"]
    assert "workers" not in fleet.status["tuning"]["values"]
    assert fleet.document_now["values"]["pools"]["postgres"] > 1
    assert {pod.values["workers"] for pod in fleet.pods} == {3}


async def test_they_count_in_a_budget() -> None:
    """2 pods × 3 workers × 4 connections are 24 of 12."""
    fleet = ModelledFleet(UNNAMED, start=start_values(3, 4))
    resource = fleet.resources[KEY]
    policy, target = await understand(fleet, resource)
    policy = replace(policy, tunables={t: replace(spec, budget="a/b") for t, spec in policy.tunables.items()})
    gathered = await gather(fleet, fleet, resource, policy, target, Checkpoint())
    gathered = replace(gathered, budgets={"a/b": Budget(12, 2)})

    thought = think(gathered, Window(), fleet.now, mode=Mode.AUTO, telemetry_age_seconds=0)

    assert not within_budgets(thought.situation, thought.situation.values)
    assert thought.decision is not None
    assert [str(change) for change in thought.decision.changes] == ["postgres 4→2"]
