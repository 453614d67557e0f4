"""The loop over a modelled fleet whose requests compute in a process pool of the pod."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from modelled_fleet import TARGET, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]

COMPUTING = Service(requests_per_second=120.0, cpu_seconds=0.001, query_seconds=0.025, cores=8.0)
"""3 Erlang on each pod: four processes at the least."""
SIZED = {
    "targetRef": TARGET,
    "mode": "Auto",
    "objective": {"p95": "150ms"},
    "pools": [{"name": "postgres", "min": 1, "max": 8}],
    "behavior": {"interval": "5s", "minSamples": 200},
}


def computing(**cpu: Any) -> ModelledFleet:
    fleet = ModelledFleet(SIZED, service=replace(COMPUTING, **cpu), start=start_values(1, 1))
    for pod in fleet.pods:
        pod.pool_kind = "processes"
    return fleet


def sizes(fleet: ModelledFleet) -> set[int]:
    return {pod.values["pools"]["postgres"] for pod in fleet.pods}


def moves(fleet: ModelledFleet) -> list[tuple[int, int]]:
    found = [change for entry in fleet.status["decisions"] for change in entry.get("changes") or ()]
    assert {change["tunable"] for change in found} <= {"pools.postgres"}
    return [(change["old"], change["new"]) for change in found]


async def test_a_process_pool_grows_while_calls_wait_and_gives_back_what_is_idle(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = computing()
    reconciler = reconciler_of(fleet)

    await drive(reconciler, fleet, 150)
    grown = max(sizes(fleet))
    assert sizes(fleet) == {grown}
    assert 4 <= grown <= 8
    assert fleet.condition("ObjectiveMet")["status"] == "True"
    assert all(new > old for old, new in moves(fleet))

    fleet.service = replace(fleet.service, requests_per_second=6.0)
    await drive(reconciler, fleet, 4500)
    assert sizes(fleet) == {2}
    assert fleet.condition("ObjectiveMet")["status"] == "True"


async def test_a_process_pool_stays_within_the_cpu_limit(reconciler_of: Make, drive: Drive) -> None:
    fleet, lines = computing(cpu_limit=1.1), []

    await drive(reconciler_of(fleet, lines.append), fleet, 150)

    assert sizes(fleet) == {1}
    assert "ScaleOutRecommended" in {line["reason"] for line in lines}
