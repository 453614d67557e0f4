"""What a single pod says of itself, true or not, holds nobody else: four of five decide, and no pass fails of it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
Wire = dict[str, Any]


def no_workers(wire: Wire) -> None:
    wire["values"]["workers"] = 0
    wire["pools"]["mine"] = wire["pools"]["postgres"]


def cpu_that_goes_back(wire: Wire) -> None:
    wire["cpu"]["usageSeconds"] = max(0.0, 1e9 - 1000 * wire["uptimeSeconds"])


def a_pool_of_processes(wire: Wire) -> None:
    wire["pools"]["postgres"]["kind"] = "processes"


def no_connections(wire: Wire) -> None:
    wire["pools"]["postgres"] |= {"cap": 0, "limit": 0}
    wire["values"]["pools"]["postgres"] = 0


def clamped(wire: Wire) -> None:
    few = {"asked": 8, "granted": 1, "by": "memory"}
    wire["tuning"]["clamped"] = [{"tunable": name, **few} for name in ("workers", "pools.postgres")]


def no_memory_left(wire: Wire) -> None:
    wire["memory"] = {"limitBytes": 1000, "usedBytes": 2000, "perWorkerBytes": 50}


def one_core(wire: Wire) -> None:
    wire["cpu"] |= {"cores": 1, "limit": 0.01}


def time_that_stands_still(wire: Wire) -> None:
    wire["uptimeSeconds"] = 1000 + 1e-9 * wire["uptimeSeconds"]


LIES = [
    no_workers, cpu_that_goes_back, a_pool_of_processes, no_connections, clamped, no_memory_left, one_core,
    time_that_stands_still,
]  # fmt: skip


@pytest.mark.parametrize("lies", LIES)
async def test_the_others_are_tuned(reconciler_of: Make, drive: Drive, lies: Any) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    fleet.pods[3].lies = lies

    await drive(reconciler_of(fleet), fleet, 40)

    assert fleet.document_writes >= 1
    assert fleet.condition("ObjectiveMet")["status"] == "True"
    assert max(pod.values["workers"] for pod in fleet.pods) <= 3


@pytest.mark.parametrize("lies", LIES)
async def test_alone_it_ends_no_pass_either(reconciler_of: Make, drive: Drive, lies: Any) -> None:
    fleet = ModelledFleet(CHOOSING, pods=1)
    fleet.pods[0].lies = lies

    await drive(reconciler_of(fleet), fleet, 30)

    assert fleet.condition("Ready")["status"] == "True"


async def test_a_pod_without_workers_is_refused_by_name(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    fleet.pods[3].lies = no_workers

    await reconciler_of(fleet).reconcile(KEY)

    (left_out,) = fleet.status["leftOut"]
    assert (left_out["name"], left_out["reason"]) == ("pod-3", "ReportRefused")
    assert "values.workers: 0" in left_out["message"]


async def test_what_one_pod_clamps_is_said(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING, pods=5)
    fleet.pods[3].lies = clamped

    await reconciler_of(fleet).reconcile(KEY)

    told = fleet.condition("Converged")["message"]
    assert "workers clamped by a few pods: asked 8, granted 1, by memory" in told


async def test_a_status_is_never_longer_than_may_be_written(reconciler_of: Make) -> None:
    def names_all_kinds_of_things(wire: Wire) -> None:
        wire["tuning"]["unknown"] = [f"{wire['pod']['name']}{'x' * 180}{number}" for number in range(64)]

    fleet = ModelledFleet(CHOOSING, pods=5)
    for pod in fleet.pods:
        pod.lies = names_all_kinds_of_things

    await reconciler_of(fleet).reconcile(KEY)

    assert all(len(each["message"]) <= 2000 for each in fleet.status["conditions"])
    assert fleet.condition("Converged")["message"].endswith("…")
