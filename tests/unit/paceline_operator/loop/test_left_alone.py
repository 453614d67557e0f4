"""The loop over a modelled fleet: policies, targets and pods that nothing, or not everything, can be done with."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, ModelPod, Service, start_values
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import PolicyKey

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


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
    assert fleet.status["recommendation"]["reason"] == "NotReporting"


async def test_an_app_without_traffic_is_left_alone(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING, service=Service(requests_per_second=0.2))

    await drive(reconciler_of(fleet), fleet, 60)

    assert fleet.content is None
    assert fleet.status["recommendation"]["reason"] in {"NoTraffic", "InsufficientTelemetry"}


async def test_a_name_that_no_worker_registered_is_said(reconciler_of: Make) -> None:
    fleet = ModelledFleet({**CHOOSING, "pools": [{"name": "postgress", "min": 1, "max": 20}]})

    await reconciler_of(fleet).reconcile(KEY)

    assert "no worker registered postgress" in fleet.condition("Converged")["message"]


async def test_a_pool_whose_size_counts_per_pod_is_pinned_or_left_alone(reconciler_of: Make, drive: Drive) -> None:
    def of_processes(*pools: Any) -> ModelledFleet:
        fleet = ModelledFleet({**CHOOSING, "workers": {"value": 2}, "pools": list(pools)})
        for pod in fleet.pods:
            pod.pool_kind = "processes"
        return fleet

    unnamed = of_processes()
    await drive(reconciler_of(unnamed), unnamed, 300)
    assert {pod.values["pools"]["postgres"] for pod in unnamed.pods} == {start_values()["pools"]["postgres"]}

    pinned = of_processes({"name": "postgres", "value": 3})
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


async def test_a_fleet_that_an_autoscaler_has_moved_is_left_alone_for_a_window(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet, lines = ModelledFleet(CHOOSING), []
    reconciler = reconciler_of(fleet, lines.append)
    await drive(reconciler, fleet, 90)

    fleet.pods.append(ModelPod("pod-2", dict(fleet.pods[0].values), start_values()))
    await drive(reconciler, fleet, 8)

    told = [(entry["reason"], entry["message"][:11]) for entry in lines]
    assert told.count(("RolloutInProgress", "2 → 3 pods;")) == 1


async def test_what_pods_clamp_is_said_by_its_name(reconciler_of: Make) -> None:
    fleet = ModelledFleet(PINNED)
    clamp = {"asked": 3, "granted": 2, "by": "memory"}
    fleet.pods[0].clamped = [{"tunable": "workers", **clamp}, {"tunable": "of.another.time", **clamp}]

    await reconciler_of(fleet).reconcile(KEY)

    assert "workers clamped: asked 3, granted 2, by memory" in fleet.condition("Converged")["message"]
