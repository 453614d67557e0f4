"""One broken pod stops nothing: four of five are tuned, and the fifth is named with what is wrong with it."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, Service
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import Trouble

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
Break = Callable[[ModelledFleet, str], object]
QUIET = Service(requests_per_second=1)
PENDING = Trouble("Pending", "0/3 nodes are available")


def pending(fleet: ModelledFleet, uid: str) -> None:
    fleet.troubles[uid] = PENDING


def crashing(fleet: ModelledFleet, uid: str) -> None:
    fleet.troubles[uid] = Trouble("CrashLoopBackOff", "container api keeps failing")


def silent(fleet: ModelledFleet, uid: str) -> None:
    fleet.silent.add(uid)


def refused(fleet: ModelledFleet, uid: str) -> None:
    fleet.refused[uid] = Trouble("ReportRefused", "pools: 900 entries, at most 128 are read")


def deaf(fleet: ModelledFleet, uid: str) -> None:
    next(pod for pod in fleet.pods if pod.uid == uid).adopts = False


def elsewhere(fleet: ModelledFleet, uid: str) -> None:
    deaf(fleet, uid)
    next(pod for pod in fleet.pods if pod.uid == uid).documents = ("old-api-tuning",)


def too_far(fleet: ModelledFleet, uid: str) -> None:
    deaf(fleet, uid)
    next(pod for pod in fleet.pods if pod.uid == uid).generation = 2**63 - 1


BROKEN = [
    pytest.param(pending, "Pending", "nodes are available", id="pending"),
    pytest.param(crashing, "CrashLoopBackOff", "keeps failing", id="crashing"),
    pytest.param(silent, "Silent", "no report from /state", id="silent"),
    pytest.param(refused, "ReportRefused", "pools: 900 entries", id="refused"),
    pytest.param(deaf, "NotConverged", "it runs generation 0 and not", id="deaf"),
    pytest.param(elsewhere, "NotMounted", "ConfigMap api-tuning, and the pod mounts old-api-tuning", id="elsewhere"),
    pytest.param(too_far, "ReportRefused", "is none of a document", id="a generation near the end of 64 bits"),
]


@pytest.mark.parametrize(("breaks", "reason", "message"), BROKEN)
async def test_four_of_five_are_tuned_and_the_fifth_is_named(
    reconciler_of: Make, drive: Drive, breaks: Break, reason: str, message: str
) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    breaks(fleet, "pod-3")

    await drive(reconciler_of(fleet), fleet, 25)

    assert fleet.document_writes >= 2
    assert fleet.document_now is not None
    assert fleet.document_now["generation"] == fleet.document_writes
    (left_out,) = fleet.status["leftOut"]
    assert (left_out["name"], left_out["reason"]) == ("pod-3", reason)
    assert message in left_out["message"]
    assert fleet.status["pods"] == {"total": 5, "applied": 4}
    assert f"left out: pod-3 ({reason})" in fleet.condition("Converged")["message"]
    assert fleet.condition("Converged")["status"] == "False"


@pytest.mark.parametrize("broken", [1, 2])
async def test_more_than_a_fifth_is_too_much(reconciler_of: Make, drive: Drive, broken: int) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    for number in range(broken):
        pending(fleet, f"pod-{number}")

    await drive(reconciler_of(fleet), fleet, 15)

    assert (fleet.document_writes > 0) == (broken == 1)
    assert [each["name"] for each in fleet.status["leftOut"]] == [f"pod-{number}" for number in range(broken)]


async def test_a_pod_that_recovers_is_no_longer_named(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(PINNED, pods=5, service=QUIET)
    pending(fleet, "pod-3")
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 30)

    fleet.troubles.clear()
    await drive(reconciler, fleet, 90)

    assert "leftOut" not in fleet.status
    assert fleet.condition("Converged")["status"] == "True"


async def test_strangers_with_the_same_labels_are_named_and_do_not_count(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, pods=2)
    fleet.strangers = {"api-migrate-x": "it belongs to Job api-migrate"}

    await drive(reconciler_of(fleet), fleet, 30)

    assert fleet.document_writes >= 1
    assert fleet.status["pods"]["total"] == 2
    (stranger,) = fleet.status["leftOut"]
    assert (stranger["name"], stranger["reason"]) == ("api-migrate-x", "Foreign")
    assert "Job api-migrate" in stranger["message"]


@pytest.mark.invariant
async def test_a_pod_that_is_always_ahead_of_the_document_is_followed_once(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    deaf(fleet, "pod-3")
    reconciler = reconciler_of(fleet)
    reasons: list[Any] = []
    for _ in range(12):
        fleet.pods[3].generation = 1 + (fleet.document_now or {"generation": 0})["generation"]
        await drive(reconciler, fleet, 2)
        reasons = [entry["reason"] for entry in fleet.status["decisions"] if entry.get("values")]

    assert reasons.count("ExternalChange") <= 1
    assert {"PoolWaitHigh", "LoopLagHigh"} & set(reasons)
    assert [each["name"] for each in fleet.status["leftOut"]] == ["pod-3"]


async def test_a_target_that_is_scaled_to_zero_and_back_is_tuned_on(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, pods=4)
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 30)
    writes, pods = fleet.document_writes, fleet.pods
    fleet.pods = []
    await drive(reconciler, fleet, 60)
    assert fleet.condition("TelemetryAvailable")["message"] == "the target has no pods"
    assert fleet.document_writes == writes

    fleet.pods = pods
    for pod in pods:
        pod.started_at, pod.uptime = "2026-01-01T01:00:00Z", 0.0
    await drive(reconciler, fleet, 40)

    assert fleet.condition("TelemetryAvailable")["status"] == "True"
    assert fleet.condition("ObjectiveMet")["status"] == "True"


async def test_an_autoscaler_that_moves_all_the_time_does_not_stop_tuning(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, pods=3)
    reconciler = reconciler_of(fleet)
    spare = ModelledFleet(CHOOSING, pods=4).pods[3]
    for turn in range(10):
        fleet.pods = [pod for pod in fleet.pods if pod is not spare]
        if turn % 2:
            spare.started_at, spare.uptime = f"2026-01-01T02:00:{turn:02}Z", 0.0
            fleet.pods.append(spare)
        await drive(reconciler, fleet, 5)

    assert fleet.document_writes >= 2
    assert fleet.condition("ObjectiveMet")["status"] == "True"


async def passes_of_an_hour(fleet: ModelledFleet, reconciler: Reconciler) -> int:
    until, passes = fleet.now + timedelta(hours=1), 0
    while fleet.now < until:
        wait = await reconciler.reconcile(KEY, called=False)
        fleet.pass_time(max(wait.total_seconds(), 0.05))
        passes += 1
    return passes


@pytest.mark.parametrize("breaks", [pending, crashing, silent, deaf])
async def test_a_broken_pod_costs_few_looks(reconciler_of: Make, breaks: Break) -> None:
    spec = {**CHOOSING, "workers": {"value": 2}, "pools": [], "behavior": {"interval": "60s"}}
    sound, broken = (ModelledFleet(spec, pods=5, service=QUIET) for _ in range(2))
    breaks(broken, "pod-3")

    usual = await passes_of_an_hour(sound, reconciler_of(sound))
    found = await passes_of_an_hour(broken, reconciler_of(broken))

    assert found <= 1.5 * usual
    assert usual <= 100
    assert broken.scrapes <= 1.5 * sound.scrapes


async def test_a_pod_that_is_silent_in_every_other_pass_is_not_told_each_time(reconciler_of: Make) -> None:
    spec = {**CHOOSING, "workers": {"value": 2}, "pools": [], "behavior": {"interval": "60s"}}
    fleet = ModelledFleet(spec, pods=5, service=QUIET)
    reconciler = reconciler_of(fleet)
    until, passes = fleet.now + timedelta(minutes=30), 0
    while fleet.now < until:
        fleet.silent ^= {"pod-3"}
        wait = await reconciler.reconcile(KEY)
        fleet.pass_time(max(wait.total_seconds(), 0.05))
        passes += 1

    assert passes > 50
    assert fleet.status_writes <= 25
    converged = fleet.condition("Converged")
    assert (converged["status"], converged["reason"]) == ("False", "NotConverged")
    assert "times within an hour" in converged["message"]

    fleet.silent.clear()
    await passes_of(fleet, reconciler, minutes=11)
    assert fleet.condition("Converged")["status"] == "True", "it has lasted"


async def test_one_that_is_silent_now_and_then_is_told_each_time_at_once(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED, pods=5, service=QUIET)
    reconciler = reconciler_of(fleet)
    await passes_of(fleet, reconciler, minutes=2)
    for silent in ({"pod-3"}, set(), {"pod-1"}, set()):
        fleet.silent = silent
        await passes_of(fleet, reconciler, minutes=2)
        assert (fleet.condition("Converged")["status"] == "True") is not bool(silent)


async def test_a_policy_that_is_made_anew_has_no_past(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED, pods=5, service=QUIET)
    reconciler = reconciler_of(fleet)
    for _ in range(8):
        fleet.silent ^= {"pod-3"}
        await passes_of(fleet, reconciler, minutes=1)
    resource = fleet.resources[KEY]
    fleet.delete()
    await reconciler.reconcile(KEY)
    fleet.resources[KEY], fleet.silent = resource, set()

    await passes_of(fleet, reconciler, minutes=1)

    assert fleet.condition("Converged")["status"] == "True"


async def passes_of(fleet: ModelledFleet, reconciler: Reconciler, minutes: int) -> None:
    until = fleet.now + timedelta(minutes=minutes)
    while fleet.now < until:
        wait = await reconciler.reconcile(KEY, called=False)
        fleet.pass_time(max(wait.total_seconds(), 0.05))
