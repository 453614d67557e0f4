"""An operator that is killed between any two steps: its successor forgets no change and invents none."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]

STEPS = (
    "policy", "rivals", "checkpoint", "workload", "document", "scrape",
    "write_document", "nudge", "write_checkpoint", "write_status", "acks",
)  # fmt: skip


class Killed(BaseException):
    """What no handler in the loop catches."""


class Deadly:
    """A fleet at which the operator dies at one kind of call, while a document is being written or after that."""

    def __init__(self, fleet: ModelledFleet, step: str, *, carried_out: bool) -> None:
        self._fleet = fleet
        self._step = step
        self._carried_out = carried_out
        self._documents = fleet.document_writes

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._fleet, name)
        if name != self._step:
            return call

        async def deadly(*args: Any, **options: Any) -> Any:
            changing = self._fleet.document_writes > self._documents or name == "write_document"
            if not changing:
                return await call(*args, **options)
            if self._carried_out:
                await call(*args, **options)
            raise Killed(name)

        return deadly


def changes(fleet: ModelledFleet) -> list[dict[str, Any]]:
    entries = fleet.status.get("decisions", ())
    return [entry for entry in entries if entry.get("changes") and not entry.get("recommended")]


def made(fleet: ModelledFleet) -> list[int]:
    return [entry["generation"] for entry in changes(fleet)]


@pytest.mark.invariant
@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_every_change_in_force_is_on_record_and_waits_for_its_verdict(
    step: str, carried_out: bool, settings: OperatorSettings, reconciler_of: Make
) -> None:
    fleet = ModelledFleet(CHOOSING)
    deadly = Deadly(fleet, step, carried_out=carried_out)
    doomed = Reconciler(deadly, deadly, now=lambda: fleet.now, settings=settings, journal=lambda line: None)  # type: ignore[arg-type]
    try:
        while not fleet.document_writes:
            fleet.pass_time(max((await doomed.reconcile(KEY)).total_seconds(), 0.05))
    except Killed:
        pass

    await reconciler_of(fleet).reconcile(KEY)

    assert made(fleet) == list(range(1, fleet.document_writes + 1))
    if fleet.document_writes:
        assert fleet.document_now is not None
        assert fleet.status["pending"]["generation"] == fleet.document_now["generation"]
        assert fleet.status["tuning"]["generation"] == fleet.document_now["generation"]
        assert fleet.status["pending"]["changes"] == changes(fleet)[-1]["changes"]
        assert len(fleet.memory["changes"]) == 1, "it counts against the changes of an hour"
    else:
        assert "pending" not in fleet.status


@pytest.mark.invariant
@pytest.mark.parametrize("step", ["nudge", "write_checkpoint", "write_status"])
async def test_a_change_that_the_status_does_not_know_yet_can_be_held_in_the_pass_that_finds_it(
    step: str, settings: OperatorSettings, reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet(CHOOSING)
    deadly = Deadly(fleet, step, carried_out=False)
    doomed = Reconciler(deadly, deadly, now=lambda: fleet.now, settings=settings, journal=lambda line: None)  # type: ignore[arg-type]
    with pytest.raises(Killed):
        await drive(doomed, fleet, 60)
    assert made(fleet) == []
    document = fleet.document_now
    fleet.annotate(rollback="1")

    await reconciler_of(fleet).reconcile(KEY)

    ready = fleet.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("True", "RolledBack")
    assert fleet.document_now == document, "it is in force already"
    assert made(fleet) == [1]


@pytest.mark.invariant
async def test_what_another_policy_decided_is_not_put_on_record(reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING)
    first = reconciler_of(fleet)
    while not fleet.document_writes:
        fleet.pass_time(max((await first.reconcile(KEY)).total_seconds(), 0.05))
    assert fleet.content is not None
    fleet.content = fleet.content.replace(b'"shop/api"', b'"shop/other"')
    fleet.resources[KEY] = fleet.resource(CHOOSING)

    await reconciler_of(fleet).reconcile(KEY)

    assert made(fleet) == []
    assert "pending" not in fleet.status


DECISION = '"generation": 1, "time": "2026-01-01T00:00:00Z", "reason": "LoopLagHigh"'


@pytest.mark.parametrize(
    "intent",
    [
        "7",
        "[]",
        "{}",
        '{"decision": 3}',
        '{"decision": {"generation": 1}}',
        f'{{"decision": {{{DECISION}, "changes": 4}}}}',
        f'{{"decision": {{{DECISION}, "message": 4}}}}',
        f'{{"decision": {{{DECISION}}}, "tuner": 5, "pending": 6}}',
        f'{{"decision": {{{DECISION}}}, "tuner": {{"changes": 1}}, "pending": {{"generation": 1}}}}',
    ],
)
async def test_an_intent_that_makes_no_sense_stops_nothing(intent: str, reconciler_of: Make) -> None:
    fleet = ModelledFleet(CHOOSING)
    fleet.content = (
        '{"schema": "paceline.dev/tuning/v1", "generation": 1, "policy": "shop/api",'
        f' "values": {{"workers": 1, "pools": {{}}, "caches": {{}}}}, "intent": {intent}}}'
    ).encode()
    fleet.version = 1

    await reconciler_of(fleet).reconcile(KEY)

    assert fleet.status["tuning"]["generation"] == 1
