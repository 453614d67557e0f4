"""Pause, roll back and resume, over a modelled fleet, with the operator restarted whenever it could matter.

A new reconciler is a restarted operator: all it knows is in the objects.
"""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet, start_values
from paceline_operator.core.model.durations import parse_duration
from paceline_operator.crd.history import changes_made
from paceline_operator.figures import PolicyFigures
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]


@pytest.fixture
async def tuned(reconciler_of: Make, drive: Drive) -> ModelledFleet:
    """A fleet that has been tuned for a while: several generations."""
    fleet = ModelledFleet(CHOOSING)
    await drive(reconciler_of(fleet), fleet, 90)
    assert _document(fleet)["generation"] >= 2
    return fleet


def _document(fleet: ModelledFleet) -> Any:
    assert fleet.document_now is not None
    return fleet.document_now


def _decided(fleet: ModelledFleet, generation: int) -> Any:
    return next(e for e in fleet.status["decisions"] if e["generation"] == generation and e.get("changes"))


async def test_an_old_generation_comes_back_under_a_new_number_and_stays(
    tuned: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    before = _document(tuned)["generation"]
    tuned.annotate(rollback="1")

    await reconciler_of(tuned).reconcile(KEY)

    assert _document(tuned)["generation"] == before + 1
    assert _document(tuned)["values"] == _decided(tuned, 1)["values"]
    assert tuned.condition("Ready")["reason"] == "RolledBack"
    assert "generation 1" in tuned.condition("Ready")["message"]
    assert ("RolledBack", True) in tuned.events

    for _ in range(3):
        await drive(reconciler_of(tuned), tuned, 30)
    assert _document(tuned)["generation"] == before + 1, "it is held across restarts, whatever is measured"


async def test_the_status_tells_why_and_what_came_of_it(tuned: ModelledFleet) -> None:
    first, *_, last = changes_made(tuned.status, tuned.now, tuned.holds)

    assert first.reason in ("LoopLagHigh", "PoolWaitHigh")
    assert parse_duration(first.before or "") > parse_duration(last.after or "")


async def test_tuning_goes_on_from_there_when_the_annotation_goes(
    tuned: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    tuned.annotate(rollback="baseline")
    await drive(reconciler_of(tuned), tuned, 20)
    baseline = _document(tuned)
    assert baseline["values"]["workers"] == start_values()["workers"]

    tuned.annotate()
    await drive(reconciler_of(tuned), tuned, 120)

    assert _document(tuned)["generation"] > baseline["generation"]
    assert tuned.condition("Ready")["reason"] == "Accepted"
    assert tuned.condition("ObjectiveMet")["status"] == "True"


async def test_a_rollback_while_paused_waits_for_the_pause_to_end(tuned: ModelledFleet, reconciler_of: Make) -> None:
    before = _document(tuned)["generation"]
    tuned.annotate(paused="true", rollback="1")
    await reconciler_of(tuned).reconcile(KEY)
    assert _document(tuned)["generation"] == before
    assert tuned.condition("Ready")["reason"] == "Paused"

    tuned.annotate(rollback="1")
    await reconciler_of(tuned).reconcile(KEY)
    assert _document(tuned)["generation"] == before + 1


async def test_a_rollback_to_nowhere_changes_nothing_and_says_so(
    tuned: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    before = _document(tuned)
    tuned.annotate(rollback="999")

    await drive(reconciler_of(tuned), tuned, 60)

    assert _document(tuned) == before
    ready = tuned.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "InvalidSpec")
    assert "generation 999 are not known" in ready["message"]


async def test_a_rollback_in_mode_recommend_is_shown_and_not_made(
    tuned: ModelledFleet, reconciler_of: Make, drive: Drive
) -> None:
    before = _document(tuned)
    tuned.edit(mode="Recommend")
    tuned.annotate(rollback="1")

    await drive(reconciler_of(tuned), tuned, 30)

    assert _document(tuned) == before
    assert tuned.status["recommendation"]["values"] == _decided(tuned, 1)["values"]
    assert tuned.condition("Ready")["reason"] == "Accepted"


@pytest.mark.parametrize("where", ["policy", "namespace"])
async def test_a_pause_is_seen_at_once_and_lasts_across_restarts(where: str, reconciler_of: Make, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    await drive(reconciler_of(fleet), fleet, 4)
    fleet.annotate(**({"paused": "true"} if where == "policy" else {}))
    fleet.annotate_namespace(**({"paused": "true"} if where == "namespace" else {}))

    await reconciler_of(fleet).reconcile(KEY)
    assert fleet.status["recommendation"]["reason"] == "Paused"
    assert where in fleet.condition("Ready")["message"]

    for _ in range(3):
        await drive(reconciler_of(fleet), fleet, 20)
    assert fleet.content is None

    fleet.annotate()
    fleet.annotate_namespace()
    await drive(reconciler_of(fleet), fleet, 60)
    assert _document(fleet)["generation"] >= 1


async def test_a_namespace_goes_back_to_the_baseline_as_a_whole(tuned: ModelledFleet, reconciler_of: Make) -> None:
    tuned.annotate_namespace(rollback="baseline")

    await reconciler_of(tuned).reconcile(KEY)

    assert _document(tuned)["values"]["workers"] == start_values()["workers"]


async def test_a_pause_that_comes_between_deciding_and_writing_wins(tuned: ModelledFleet, reconciler_of: Make) -> None:
    before = _document(tuned)
    tuned.edit(workers={"value": 7})
    tuned.after_read = lambda: tuned.annotate_namespace(paused="true")

    await reconciler_of(tuned).reconcile(KEY)

    assert _document(tuned) == before


async def test_a_policy_that_is_another_operators_by_now_gets_no_write_and_leaves_no_figures(
    tuned: ModelledFleet, drive: Drive
) -> None:
    told: list[PolicyFigures | None] = []
    settings = OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)
    reconciler = Reconciler(
        tuned,
        tuned,
        now=lambda: tuned.now,
        settings=settings,
        journal=lambda line: None,
        figures=lambda key, figures: told.append(figures),
    )
    await drive(reconciler, tuned, 5)
    assert told[-1] is not None
    tuned.edit(operatorClass="batch")
    writes = tuned.document_writes, tuned.status_writes

    await drive(reconciler, tuned, 5)

    assert told[-1] is None
    assert (tuned.document_writes, tuned.status_writes) == writes
