"""Services of WebSockets alone, as their pods report them: what the whole loop makes of them."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


def sockets(report: dict[str, Any]) -> None:
    """Its work is messages of 100 WebSockets and 20 event streams, and no requests."""
    report["requests"] = []
    report["workers"][0] |= {"webSockets": 100, "streams": 20}


def fleet_of(connections: int, **service: float) -> ModelledFleet:
    fleet = ModelledFleet(CHOOSING, start=start_values(1, connections), service=Service(**service))
    for pod in fleet.pods:
        pod.lies = sockets
    return fleet


async def test_connections_that_messages_do_not_need_are_given_back(reconciler_of: Make, drive: Drive) -> None:
    fleet = fleet_of(12, requests_per_second=50)

    await drive(reconciler_of(fleet), fleet, 90)

    assert fleet.document_now is not None
    assert fleet.document_now["values"]["workers"] == 1
    assert 1 < fleet.document_now["values"]["pools"]["postgres"] < 12
    assert "RolledBack" not in [entry["reason"] for entry in fleet.status["decisions"]]
    objective, observed = fleet.condition("ObjectiveMet"), fleet.status["observed"]
    assert (objective["status"], objective["reason"]) == ("Unknown", "StreamsOnly")
    assert "240 streams or WebSockets are open, and hardly a request" in objective["message"]
    assert observed["streams"] == 240
    assert {"p95", "samples", "requestsPerSecond"}.isdisjoint(observed)


async def test_connections_that_messages_wait_for_come_and_workers_stay(reconciler_of: Make, drive: Drive) -> None:
    fleet = fleet_of(1, requests_per_second=120, cpu_seconds=0.004)

    await drive(reconciler_of(fleet), fleet, 90)

    assert fleet.document_now is not None
    assert fleet.document_now["values"]["workers"] == 1
    assert fleet.document_now["values"]["pools"]["postgres"] > 1


@pytest.mark.parametrize("lost", ["webSockets", "streams"])
async def test_a_service_without_pools_is_told_why_nothing_is_done(
    reconciler_of: Make, drive: Drive, lost: str
) -> None:
    fleet = fleet_of(2, requests_per_second=20)

    def alone(report: dict[str, Any]) -> None:
        sockets(report)
        report["pools"] = {}
        del report["workers"][0][lost]

    for pod in fleet.pods:
        pod.lies = alone
    await drive(reconciler_of(fleet), fleet, 400)

    assert fleet.document_writes == 0
    assert fleet.status["recommendation"]["reason"] == "StreamsOnly"
    assert "streams or WebSockets are open, 0 requests in" in fleet.status["recommendation"]["message"]
