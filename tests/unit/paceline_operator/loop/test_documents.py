"""The loop over a modelled fleet: the document survives what may happen to it, to its policy and to the operator."""

from collections.abc import Awaitable, Callable

from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, start_values
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


async def test_a_deleted_policy_leaves_the_document_and_its_return_goes_on_above_it(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)
    written = fleet.content
    assert written is not None
    fleet.delete()
    await reconciler.reconcile(KEY)
    assert fleet.content == written

    fleet.resources[KEY] = fleet.resource({**PINNED, "workers": {"value": 4}}, uid="two")
    await drive(reconciler, fleet, 12)

    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == 2
    assert fleet.status["tuning"]["values"]["workers"] == 4


async def test_a_deleted_document_is_written_anew_from_what_pods_run(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)
    before = fleet.document_now

    fleet.content = None
    await reconciler.reconcile(KEY)

    assert before is not None
    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == 2
    assert fleet.document_now["values"] == before["values"]
    assert fleet.status["decisions"][-1]["reason"] == "ExternalChange"


async def test_values_survive_the_loss_of_the_document_and_of_every_pod(reconciler_of: Make, drive: Drive) -> None:
    """Pods that never read a document say nothing of the values meant for them; the status does."""
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 60)
    meant = fleet.status["tuning"]["values"]
    fleet.content = None
    for pod in fleet.pods:
        pod.values, pod.generation, pod.started_at = start_values(), 0, "2026-01-01T01:00:00Z"

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["values"] == meant


async def test_a_document_from_a_backup_is_replaced_above_the_pods_generation(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)
    old = fleet.content
    fleet.edit(workers={"value": 5})
    await reconciler.reconcile(KEY)

    fleet.content, fleet.version = old, 40
    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert (fleet.document_now["generation"], fleet.document_now["values"]["workers"]) == (3, 5)


async def test_a_document_that_is_no_document_is_replaced(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)

    fleet.content = b"{}"
    fleet.acking = False
    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == 2
    assert fleet.document_now["values"]["workers"] == 3


async def test_conflicting_content_gets_a_new_generation(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)
    fleet.pods[0].refused = {"generation": 1, "reason": "ConflictingContent", "message": "other bytes"}

    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == 2


async def test_a_restarted_operator_goes_on_from_the_status(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    await drive(reconciler_of(fleet), fleet, 60)
    generation, decisions = fleet.status["tuning"]["generation"], len(fleet.status["decisions"])

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["tuning"]["generation"] == generation
    assert len(fleet.status["decisions"]) in (decisions, decisions + 1)


async def test_a_pinned_value_is_written_though_no_pod_reports(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.silent = {pod.uid for pod in fleet.pods}

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.condition("TelemetryAvailable")["reason"] == "NotReporting"
    # Pods that start later read it.
    assert fleet.document_writes == 1
