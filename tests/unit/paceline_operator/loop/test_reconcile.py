"""The loop over a modelled fleet: what a person sees who applies, edits, pauses, deletes and re-creates a policy."""

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, ModelPod, Service, start_values
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PlatformUnavailable, PolicyKey

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
    assert fleet.status_writes - writes <= 1


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
    fleet = ModelledFleet({**CHOOSING, "mode": "Recommend", "pools": pinned}, start=start_values(2, 3))

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
    assert fleet.status["decisions"][-1]["reason"] == "InsufficientTelemetry"


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


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda fleet: fleet.edit(workers={"value": 7}), id="edited"),
        pytest.param(lambda fleet: fleet.annotate(paused="true"), id="paused"),
        pytest.param(lambda fleet: fleet.resources.clear(), id="deleted"),
    ],
)
async def test_a_policy_that_changed_since_it_was_read_is_not_acted_on(
    change: Callable[[ModelledFleet], None], reconciler_of: Make
) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.after_read = lambda: change(fleet)

    wait = await reconciler_of(fleet).reconcile(KEY)

    assert wait.total_seconds() < 1
    assert fleet.document_writes == 0


async def test_a_document_that_changed_since_it_was_read_is_not_overwritten(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.before_write = lambda: setattr(fleet, "content", b"{}")

    wait = await reconciler_of(fleet).reconcile(KEY)

    assert wait.total_seconds() < 1
    assert (fleet.document_writes, fleet.content) == (0, b"{}")


async def test_the_status_of_a_change_survives_an_edit_and_speaks_of_the_spec_it_was_made_for(
    reconciler_of: Make,
) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.before_status = lambda: fleet.edit(workers={"value": 7})

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["tuning"]["generation"] == 1
    assert fleet.status["decisions"][-1]["reason"] == "PinnedBySpec"
    assert fleet.status["observedGeneration"] == 1


async def test_a_pod_with_something_pending_has_not_applied(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.pods[0].pending = ["workers 1 of 3"]

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["pods"] == {"total": 2, "applied": 1}
    assert fleet.condition("Converged")["status"] == "False"


async def test_a_verdict_is_void_once_another_generation_is_in_force(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    while "pending" not in fleet.status:
        await drive(reconciler, fleet, 0.1)
    assert fleet.document_now is not None
    other = {**fleet.document_now, "generation": 9}
    fleet.content = json.dumps(other).encode()

    await reconciler.reconcile(KEY)

    assert "pending" not in fleet.status
    assert fleet.status["tuning"]["generation"] == 9


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        pytest.param({**PINNED, "workers": {"min": 5, "max": 2}}, "InvalidSpec", id="min above max"),
        pytest.param({"mode": "Auto"}, "InvalidSpec", id="no target"),
        pytest.param({**PINNED, "behavior": {"interval": "soon"}}, "InvalidSpec", id="a malformed duration"),
    ],
)
async def test_a_spec_that_cannot_be_used_is_not_ready(spec: Any, reason: str, reconciler_of: Make) -> None:
    fleet = ModelledFleet(spec)

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.condition("Ready")["status"] == "False"
    assert fleet.condition("Ready")["reason"] == reason
    assert fleet.content is None
    assert fleet.events == [(reason, True)]


async def test_a_target_that_does_not_exist_is_said_once(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.target_exists = False
    reconciler = reconciler_of(fleet)

    await reconciler.reconcile(KEY)
    await reconciler.reconcile(KEY)

    assert fleet.condition("Ready")["reason"] == "TargetNotFound"
    assert fleet.events == [("TargetNotFound", True)]


async def test_of_two_policies_on_one_target_the_older_wins(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    younger = PolicyKey("shop", "younger")
    fleet.pass_time(1)
    fleet.resources[younger] = fleet.resource({**PINNED, "workers": {"value": 8}}, younger, uid="two")
    reconciler = reconciler_of(fleet)

    await reconciler.reconcile(younger)
    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["values"]["workers"] == 3
    assert fleet.condition("Ready")["status"] == "True"
    assert fleet.resources[younger].status["conditions"][0]["reason"] == "TargetConflict"


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


async def test_max_mode_caps_every_policy(reconciler_of: Make, settings: Any) -> None:
    fleet = ModelledFleet(PINNED)
    capped = settings.model_copy(update={"max_mode": "Recommend"})

    await Reconciler(fleet, fleet, now=lambda: fleet.now, settings=capped).reconcile(KEY)

    assert fleet.content is None
    assert fleet.condition("Ready")["reason"] == "ModeCapped"
    assert fleet.status["recommendation"]["values"]["workers"] == 3


async def test_silent_pods_hold_everything(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    fleet.silent = {pod.uid for pod in fleet.pods}

    await drive(reconciler_of(fleet), fleet, 60)

    assert fleet.content is None
    assert fleet.condition("TelemetryAvailable")["status"] == "False"
    assert fleet.status["decisions"][-1]["reason"] == "NotReporting"


async def test_an_app_without_traffic_is_left_alone(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, service=Service(requests_per_second=0.2))

    await drive(reconciler_of(fleet), fleet, 60)

    assert fleet.content is None
    assert fleet.status["decisions"][-1]["reason"] in {"NoTraffic", "InsufficientTelemetry"}


async def test_the_journal_tells_each_change_once_with_its_ack(reconciler_of: Make, drive: Drive) -> None:
    fleet, lines = ModelledFleet(CHOOSING), []

    await drive(reconciler_of(fleet, lines.append), fleet, 60)

    changes = [line for line in lines if line["changes"]]
    assert len({line["generation"] for line in changes}) == len(changes) >= 2
    assert all(line["acked"] and line["p95"] > 0 for line in changes)
    assert set(lines[0]) == {
        "time", "policy", "generation", "reason", "message", "changes", "p95", "values", "acked",
    }  # fmt: skip


async def test_a_name_that_no_worker_registered_is_said(reconciler_of: Make) -> None:
    fleet = ModelledFleet({**CHOOSING, "pools": [{"name": "postgress", "min": 1, "max": 20}]})

    await reconciler_of(fleet).reconcile(KEY)

    assert "no worker registered postgress" in fleet.condition("Converged")["message"]


async def test_a_pool_whose_size_counts_per_pod_is_pinned_or_left_alone(reconciler_of: Make, drive: Drive) -> None:
    def of_processes(**size: int) -> ModelledFleet:
        fleet = ModelledFleet({**CHOOSING, "workers": {"value": 2}, "pools": [{"name": "postgres", **size}]})
        for pod in fleet.pods:
            pod.pool_kind = "processes"
        return fleet

    bounded = of_processes(min=1, max=20)
    await drive(reconciler_of(bounded), bounded, 300)
    assert {pod.values["pools"]["postgres"] for pod in bounded.pods} == {start_values()["pools"]["postgres"]}

    pinned = of_processes(value=3)
    await drive(reconciler_of(pinned), pinned, 60)
    assert {pod.values["pools"]["postgres"] for pod in pinned.pods} == {3}


async def test_a_runtime_that_is_too_old_is_left_alone(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.accepts = ["tuning/v9"]

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.content is None
    assert fleet.condition("Converged")["reason"] == "RuntimeTooOld"
    assert fleet.events == [("RuntimeTooOld", True)]


async def test_a_shrink_that_pods_undid_is_said_and_holds(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 12)
    fleet.acking = False
    fleet.edit(pools=[{"name": "postgres", "value": 1}])
    for pod in fleet.pods:
        pod.refused = {"generation": 9, "reason": "ShrinkBlocked", "message": "postgres holds 5 of 1"}

    await drive(reconciler, fleet, 30)

    assert fleet.condition("Converged")["reason"] == "ShrinkBlocked"
    assert "postgres holds 5 of 1" in fleet.condition("Converged")["message"]


async def test_a_change_that_made_things_worse_is_rolled_back_with_an_event(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, start=start_values(1, 8))
    reconciler = reconciler_of(fleet)
    while fleet.document_writes == 0:
        await drive(reconciler, fleet, 0.1)
    fleet.service = Service(query_seconds=0.1, requests_per_second=290)

    await drive(reconciler, fleet, 20)

    assert ("RolledBack", True) in fleet.events
    (back,) = [entry for entry in fleet.status["decisions"] if entry["reason"] == "RolledBack"]
    assert back["changes"][0]["new"] < back["changes"][0]["old"]


async def test_a_fleet_that_an_autoscaler_has_moved_is_left_alone_for_a_window(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 90)

    fleet.pods.append(ModelPod("pod-2", dict(fleet.pods[0].values), start_values()))
    await drive(reconciler, fleet, 8)

    told = [(entry["reason"], entry["message"][:11]) for entry in fleet.status["decisions"]]
    assert told.count(("RolloutInProgress", "2 → 3 pods;")) == 1


async def test_workers_that_ended_a_container_are_a_ceiling_for_its_pod_template(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet(CHOOSING)
    reconciler = reconciler_of(fleet)
    while "'workers'" not in str(fleet.status.get("pending")):
        await drive(reconciler, fleet, 1)

    for pod in fleet.pods:
        pod.restarts += 1
    await drive(reconciler, fleet, 20)

    assert fleet.status["tuner"]["ceiling"]["template"] == "first"


async def test_a_platform_that_does_not_answer_fails_the_pass(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.down = True

    with pytest.raises(PlatformUnavailable):
        await reconciler_of(fleet).reconcile(KEY)

    assert fleet.content is None


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


async def test_an_interrupted_wait_for_acks_comes_back_at_once(reconciler_of: Make) -> None:
    fleet, woken = ModelledFleet(PINNED), asyncio.Event()
    fleet.acking = False
    fleet.before_write = woken.set

    wait = await reconciler_of(fleet).reconcile(KEY, woken)

    assert wait.total_seconds() < 0.5


async def test_what_pods_clamp_is_said_by_its_name(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    clamp = {"asked": 3, "granted": 2, "by": "memory"}
    fleet.pods[0].clamped = [{"tunable": "workers", **clamp}, {"tunable": "of.another.time", **clamp}]

    await reconciler_of(fleet).reconcile(KEY)

    assert "workers clamped: asked 3, granted 2, by memory" in fleet.condition("Converged")["message"]


async def test_a_pinned_value_is_written_though_no_pod_reports(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    fleet.silent = {pod.uid for pod in fleet.pods}

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.condition("TelemetryAvailable")["reason"] == "NotReporting"
    # Pods that start later read it.
    assert fleet.document_writes == 1


class _ReadBy(dict[str, Any]):
    """A status that notes which thread reads what the loop remembers: the first step of every decision."""

    thread: threading.Thread | None = None

    def get(self, name: str, default: Any = None) -> Any:
        if name == "tuner":
            self.thread = threading.current_thread()
        return super().get(name, default)


async def test_a_decision_leaves_the_event_loop_to_others(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING)
    status = _ReadBy()
    fleet.resources[KEY] = replace(fleet.resources[KEY], status=status)

    await reconciler_of(fleet).reconcile(KEY)

    assert status.thread not in {None, threading.main_thread()}
