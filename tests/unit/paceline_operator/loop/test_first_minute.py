"""The first minute of a swamped service: steps of seconds, until it is calm. A calm one costs one look more."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]

MINUTE = {**CHOOSING, "objective": {"p95": "70ms"}, "behavior": {"interval": "60s", "minSamples": 1000}}
SWAMPED = Service(requests_per_second=300, cpu_seconds=0.0004, query_seconds=0.015)
CALM = Service(requests_per_second=100, cpu_seconds=0.001, query_seconds=0.004)


@pytest.mark.parametrize("mode", ["Auto", "Recommend"])
async def test_a_swamped_service_gets_connections_within_seconds(reconciler_of: Make, drive: Drive, mode: str) -> None:
    fleet = ModelledFleet({**MINUTE, "mode": mode}, service=SWAMPED, start=start_values(1, 1))
    lines: list[Any] = []
    reconciler = reconciler_of(fleet, journal=lines.append)

    await drive(reconciler, fleet, 40)

    found = fleet.document_now["values"]["pools"]["postgres"] if fleet.document_now else 1
    assert (found >= 5) is (mode == "Auto"), [line["message"] for line in lines]
    if mode == "Auto":
        assert "swamped within 5s" in lines[-1]["message"] + lines[0]["message"]


async def test_the_last_step_is_judged_by_a_whole_window(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(MINUTE, service=SWAMPED, start=start_values(1, 1))
    await drive(reconciler_of(fleet), fleet, 300)

    assert fleet.condition("ObjectiveMet")["status"] == "True"
    assert "pending" not in fleet.status


async def test_a_calm_service_is_looked_at_once_more_and_left_alone(reconciler_of: Make) -> None:
    fleet = ModelledFleet(MINUTE, service=CALM, start=start_values(1, 5))
    reconciler = reconciler_of(fleet)
    looks = []
    for _ in range(4):
        wait = await reconciler.reconcile(KEY)
        looks.append(wait.total_seconds())
        fleet.pass_time(wait.total_seconds())

    assert looks[0] == 5
    assert looks[1] > 30
    assert fleet.document_writes == 0


@pytest.mark.parametrize("annotations", [{"paused": "true"}, {"rollback": "baseline"}])
async def test_who_may_change_nothing_is_not_in_a_hurry(reconciler_of: Make, annotations: dict[str, str]) -> None:
    fleet = ModelledFleet(MINUTE, service=SWAMPED, start=start_values(1, 1))
    fleet.annotate(**annotations)
    wait = await reconciler_of(fleet).reconcile(KEY)

    assert wait.total_seconds() > 10
