"""What a person sees who names admission in a policy, and takes it out again."""

from collections.abc import Awaitable, Callable

from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
ADMISSION = {"min": 4, "max": 256}


async def test_named_it_is_written_and_not_named_any_more_it_is_off(reconciler_of: Make) -> None:
    fleet = ModelledFleet({**PINNED, "admission": ADMISSION})
    reconciler = reconciler_of(fleet)
    await reconciler.reconcile(KEY)

    assert fleet.document_now is not None
    assert fleet.document_now["values"]["admission"] == ADMISSION
    assert fleet.status["tuning"]["values"]["admission"] == ADMISSION
    writes = fleet.document_writes
    await reconciler.reconcile(KEY)
    assert fleet.document_writes == writes

    spec = {name: value for name, value in fleet.resources[KEY].spec.items() if name != "admission"}
    fleet.resources[KEY] = fleet.resource(spec)
    await reconciler.reconcile(KEY)

    assert "admission" not in fleet.document_now["values"]
    assert "admission" not in fleet.pods[0].values
    writes = fleet.document_writes
    await reconciler.reconcile(KEY)
    assert fleet.document_writes == writes


async def test_it_is_sized_once_for_each_worker_count_and_tuning_goes_on(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet({**CHOOSING, "admission": ADMISSION})
    await drive(reconciler_of(fleet), fleet, 1200)

    assert fleet.document_now is not None
    admission = fleet.document_now["values"]["admission"]
    assert 4 <= admission["min"] <= admission["max"] < 256
    assert admission["p95Seconds"] > 0
    sizings = [entry for entry in fleet.status["decisions"] if entry["reason"] == "AdmissionSized"]
    changes = [change for entry in fleet.status["decisions"] for change in entry.get("changes", ())]
    moved = sum(change["tunable"] == "workers" for change in changes)
    assert 1 <= len(sizings) <= 2 + moved, "once when it is switched on, once measured, and with each worker count"
    assert any(entry["reason"] not in ("AdmissionSized", "PinnedBySpec") for entry in fleet.status["decisions"])


async def test_recommend_says_what_auto_would_do_and_writes_nothing(reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet({**CHOOSING, "mode": "Recommend", "admission": ADMISSION})
    await drive(reconciler_of(fleet), fleet, 200)

    assert fleet.document_now is None
    assert set(fleet.status["recommendation"]["values"]["admission"]) == {"min", "max", "p95Seconds"}
