"""The loop over a modelled fleet: what a person sees who applies and edits a policy."""

from collections.abc import Awaitable, Callable

from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, Service, start_values
from paceline_operator.loop.reconcile import Reconciler

FAST = {**CHOOSING, "objective": {"p95": "45ms", "prefer": "latency"}}
Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


async def test_a_pinned_value_is_written_acked_and_reported_in_one_pass(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == 1
    assert fleet.document_now["values"] == {"workers": 3, "pools": {"postgres": 5}, "caches": {}}
    assert fleet.document_now["policy"] == "shop/api"
    assert fleet.condition("Converged")["status"] == "True"
    assert fleet.status["pods"] == {"total": 2, "applied": 2}
    assert fleet.status["tuning"]["values"]["workers"] == 3
    assert fleet.status["decisions"][-1]["reason"] == "PinnedBySpec"


async def test_an_edit_is_carried_out_by_the_next_pass_under_a_higher_generation(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)

    fleet.edit(workers={"value": 2})
    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert (fleet.document_now["generation"], fleet.document_now["values"]["workers"]) == (2, 2)
    assert fleet.status["observedGeneration"] == 2


async def test_converged_is_false_while_pods_have_not_acked(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.acking = False

    wait = await reconciler_of(fleet).reconcile(KEY)

    assert fleet.condition("Converged")["status"] == "False"
    assert fleet.condition("Converged")["reason"] == "NotConverged"
    assert wait.total_seconds() <= 2


async def test_nothing_is_written_again_when_nothing_changes(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 400)
    writes, documents = fleet.status_writes, fleet.document_writes

    await drive(reconciler, fleet, 600)

    assert documents == fleet.document_writes == 1
    assert fleet.status_writes - writes <= 2


async def test_recommend_writes_no_document_and_says_what_auto_would_do(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet({**CHOOSING, "mode": "Recommend"})

    await drive(reconciler_of(fleet), fleet, 20)

    assert fleet.content is None
    assert fleet.status["recommendation"]["values"]["workers"] > 1 or (
        fleet.status["recommendation"]["values"]["pools"]["postgres"] > 1
    )
    assert "pending" not in fleet.status


async def test_a_pinned_value_that_does_not_run_hides_no_other_recommendation(
    reconciler_of: Make, drive: Drive
) -> None:
    pinned = [{"name": "postgres", "value": 5}]
    fleet = ModelledFleet({**FAST, "mode": "Recommend", "pools": pinned}, start=start_values(2, 3))

    await drive(reconciler_of(fleet), fleet, 20)

    assert fleet.content is None
    recommended = fleet.status["recommendation"]["values"]
    assert recommended["pools"]["postgres"] == 5
    assert recommended["workers"] > 2


async def test_off_observes_only(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet({**CHOOSING, "mode": "Off"})

    await drive(reconciler_of(fleet), fleet, 20)

    assert fleet.content is None
    assert "decisions" not in fleet.status
    assert fleet.status["observed"]["samples"] > 0


async def test_auto_tunes_a_mistuned_fleet_into_its_objective(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)

    await drive(reconciler_of(fleet), fleet, 90)

    assert fleet.condition("ObjectiveMet")["status"] == "True"
    changes = [entry for entry in fleet.status["decisions"] if entry.get("changes") and "Probe" not in str(entry)]
    assert len(changes) >= 2
    # Workers that gained nothing are given back for what was measured before.
    assert {entry["reason"] for entry in changes} <= {"LoopLagHigh", "PoolWaitHigh", "WorkersOversized"}
    assert fleet.status["tuning"]["gained"].startswith("p95 ")


async def test_the_first_window_after_a_start_only_observes(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING)

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.content is None
    assert fleet.status["recommendation"]["reason"] == "InsufficientTelemetry"


async def test_a_pod_with_something_pending_has_not_applied(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.pods[0].pending = ["workers 1 of 3"]

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["pods"] == {"total": 2, "applied": 1}
    assert fleet.condition("Converged")["status"] == "False"


async def test_a_paused_policy_changes_nothing_until_the_annotation_goes(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.annotate(paused="true")
    reconciler = reconciler_of(fleet)

    await reconciler.reconcile(KEY)
    assert fleet.content is None
    assert fleet.condition("Ready")["reason"] == "Paused"

    fleet.annotate()
    await reconciler.reconcile(KEY)
    assert fleet.document_now is not None


async def test_the_journal_tells_each_change_once_with_its_ack(reconciler_of: Make, drive: Drive) -> None:
    fleet, lines = ModelledFleet(CHOOSING), []

    await drive(reconciler_of(fleet, lines.append), fleet, 60)

    changes = [line for line in lines if line["changes"]]
    assert len({line["generation"] for line in changes}) == len(changes) >= 2
    assert all(line["acked"] and line["p95"] > 0 for line in changes)
    assert set(lines[0]) == {
        "time", "policy", "generation", "reason", "message", "changes", "p95", "values", "acked", "traceId",
    }  # fmt: skip


async def test_a_change_that_made_things_worse_is_rolled_back_with_an_event(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(FAST, start=start_values(1, 8))
    reconciler = reconciler_of(fleet)
    while fleet.document_writes == 0:
        await drive(reconciler, fleet, 0.1)
    fleet.service = Service(query_seconds=0.1, requests_per_second=290)

    await drive(reconciler, fleet, 20)

    assert ("RolledBack", True) in fleet.events
    (back,) = [entry for entry in fleet.status["decisions"] if entry["reason"] == "RolledBack"]
    assert back["changes"][0]["new"] < back["changes"][0]["old"]


async def test_workers_that_ended_a_container_are_a_ceiling_for_its_pod_template(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    while "'workers'" not in str(fleet.status.get("pending")):
        await drive(reconciler, fleet, 1)

    for pod in fleet.pods:
        fleet.restart(pod)
    await drive(reconciler, fleet, 20)

    assert fleet.memory["ceiling"]["template"] == "first"


async def test_while_acks_are_waited_for_only_pods_without_one_are_asked_and_for_no_more(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    slow = fleet.pods[1]
    slow.pending = ["workers"]

    await reconciler_of(fleet).reconcile(KEY)

    everybody, *later = fleet.asked_for_acks
    assert everybody == {pod.uid for pod in fleet.pods}
    assert later
    assert all(asked == {slow.uid} for asked in later)
    # Once to decide, once for what the status says.
    assert fleet.scrapes == 2
    assert fleet.status["pods"] == {"total": 2, "applied": 1}
