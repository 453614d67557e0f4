"""What pods lack of the pod contract is in the status of their policy, unless their reports show that they have it."""

from collections.abc import Awaitable, Callable

from modelled_fleet import CHOOSING, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
LACKS = {"port": "no port is named paceline", "run": "PACELINE_RUN_DIR is not set", "tuning": "it is not mounted"}


async def test_pods_that_never_report_are_told_all_that_they_lack(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    fleet.lacks, fleet.silent = LACKS, {pod.uid for pod in fleet.pods}

    await drive(reconciler_of(fleet), fleet, 2)

    for name in ("Ready", "TelemetryAvailable"):
        assert all(sentence in fleet.condition(name)["message"] for sentence in LACKS.values())
    assert fleet.condition("TelemetryAvailable")["status"] == "False"


async def test_what_a_report_shows_is_not_said_to_be_missing(reconciler_of: Make, drive: Drive) -> None:
    """An image has variables of its own."""
    fleet = ModelledFleet(CHOOSING)
    fleet.lacks = LACKS

    await drive(reconciler_of(fleet), fleet, 25)

    assert fleet.document_writes
    ready = fleet.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("True", "Accepted")
    assert ready["message"].endswith("; its pods lack (docs/pod-contract.md): PACELINE_RUN_DIR is not set")


async def test_a_fleet_that_lacks_nothing_reads_as_ever(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    await drive(reconciler_of(fleet), fleet, 2)
    assert fleet.condition("Ready")["message"] == "mode Auto"
