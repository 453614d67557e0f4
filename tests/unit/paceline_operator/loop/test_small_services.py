"""Services with few requests: windows grow until there are enough, and where there never are, that is said in words."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from modelled_fleet import CHOOSING, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
HOUR = 3600
SMALL: dict[str, Any] = {**CHOOSING, "behavior": {"interval": "60s", "stabilizationWindows": 1}}


def oversized(requests_per_second: float) -> ModelledFleet:
    """Two pods with twelve connections each, of which they need a few."""
    service = Service(requests_per_second=requests_per_second / 2)
    return ModelledFleet(SMALL, service=service, start=start_values(1, 12))


async def test_one_request_a_second_is_enough_to_be_tuned_by(reconciler_of: Make, drive: Drive) -> None:
    fleet = oversized(1.0)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 600)
    told = fleet.status["recommendation"]["message"]
    assert "a decision needs 2000: at this rate in about 2" in told, told
    assert fleet.document_writes == 0

    await drive(reconciler, fleet, 2 * HOUR)

    assert fleet.document_now is not None
    assert fleet.document_now["values"]["pools"]["postgres"] < 12
    assert fleet.condition("ObjectiveMet")["status"] == "True"


async def test_a_service_that_has_too_few_is_told_how_many_it_takes(reconciler_of: Make, drive: Drive) -> None:
    fleet = oversized(0.1)

    await drive(reconciler_of(fleet), fleet, HOUR)

    assert fleet.document_writes == 0
    recommendation, objective = fleet.status["recommendation"], fleet.condition("ObjectiveMet")
    assert recommendation["reason"] == "InsufficientTelemetry"
    for message in (recommendation["message"], objective["message"], fleet.condition("TelemetryAvailable")["message"]):
        assert "a decision needs 2000 within 1h, 34 a minute: values stay; lower behavior.minSamples" in message
    assert (objective["status"], objective["reason"]) == ("Unknown", "InsufficientTelemetry")


async def test_a_service_that_goes_quiet_after_a_missed_window_does_not_miss_its_objective_for_ever(
    reconciler_of: Make, drive: Drive
) -> None:
    service = Service(requests_per_second=20, cpu_seconds=0.2)
    fleet = ModelledFleet({**SMALL, "mode": "Recommend"}, service=service, start=start_values(1, 12))
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 600)
    assert (fleet.condition("ObjectiveMet")["status"], fleet.condition("ObjectiveMet")["reason"]) == ("False", "Slow")

    fleet.service = replace(service, requests_per_second=0)
    await drive(reconciler, fleet, HOUR / 2)
    assert fleet.condition("ObjectiveMet")["status"] == "False"
    await drive(reconciler, fleet, HOUR)

    objective = fleet.condition("ObjectiveMet")
    assert (objective["status"], objective["reason"]) == ("Unknown", "InsufficientTelemetry")
    fleet.service = service
    await drive(reconciler, fleet, 600)
    assert fleet.condition("ObjectiveMet")["status"] == "False"


@pytest.mark.invariant
async def test_a_change_after_which_a_small_service_fails_goes_back_long_before_it_has_enough_requests(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = oversized(1.0)
    reconciler = reconciler_of(fleet)
    for _ in range(10):
        if not fleet.document_writes:
            await drive(reconciler, fleet, HOUR)
    assert fleet.document_writes == 1
    for pod in fleet.pods:
        pod.lies = partial(_fail, since=pod.requests)

    await drive(reconciler, fleet, 900)

    assert fleet.status["decisions"][-1]["reason"] == "RolledBack"


@pytest.mark.invariant
@pytest.mark.parametrize("lull", [0.02, 0.4])
async def test_bursts_in_a_lull_are_no_reason_to_grow(reconciler_of: Make, drive: Drive, lull: float) -> None:
    """An hourly job: 120 requests a second for a minute, within the objective. The mean of an hour is 2 a second."""
    fleet = ModelledFleet({**CHOOSING, "behavior": {"interval": "60s"}}, start=start_values(1, 5))
    reconciler = reconciler_of(fleet)
    for _ in range(4):
        fleet.service = Service(requests_per_second=60, cpu_seconds=0.004)
        await drive(reconciler, fleet, 60)
        fleet.service = Service(requests_per_second=lull, cpu_seconds=0.004)
        await drive(reconciler, fleet, 1740)

    assert fleet.document_now is None or fleet.document_now["values"]["workers"] == 1


def _fail(report: dict[str, Any], since: int) -> None:
    """Every request since fails."""
    (group,) = report["requests"]
    group["errors"] = group["count"] - since
