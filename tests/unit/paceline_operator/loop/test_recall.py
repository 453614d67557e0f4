"""The checkpoint between passes: how often it is written, and that nothing about it ever fails a pass."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from modelled_fleet import CHOOSING, KEY, PINNED, ModelledFleet, ModelPod, Service, start_values
from paceline_operator.core.model.decision import Reason
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.ports import Conflict, PlatformRefused, PlatformUnavailable, StoredCheckpoint

Make = Callable[..., Reconciler]
Drive = Callable[[Reconciler, ModelledFleet, float], Awaitable[None]]
CALM = {**CHOOSING, "behavior": {"interval": "60s", "minSamples": 200}}
REJECTED = {"values": {"workers": 4}, "until": "2030-01-01T00:00:00.000Z"}


@pytest.fixture
async def tuned(reconciler_of: Make, drive: Drive) -> ModelledFleet:
    fleet = ModelledFleet(CHOOSING)
    await drive(reconciler_of(fleet), fleet, 90)
    assert fleet.memory["changes"]
    return fleet


@pytest.mark.parametrize("mode", ["Auto", "Recommend"])
async def test_a_calm_policy_writes_twelve_times_an_hour_though_an_autoscaler_moves(
    mode: str, reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet({**CALM, "mode": mode}, start=start_values(1, 2), service=Service(requests_per_second=50))
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 600)
    statuses, checkpoints = fleet.status_writes, fleet.checkpoint_writes

    for minute in range(60):
        if minute % 3 == 0:
            fleet.pods.append(ModelPod("pod-2", start_values(1, 2), start_values(1, 2)))
        elif minute % 3 == 1:
            fleet.pods.pop()
        await drive(reconciler, fleet, 60)

    assert fleet.document_writes == 0, "it is calm"
    assert 6 <= fleet.status_writes - statuses <= 15
    assert 6 <= fleet.checkpoint_writes - checkpoints <= 12


async def test_a_policy_that_is_off_writes_nothing_once_it_is_said_that_no_pod_reports(
    reconciler_of: Make, drive: Drive
) -> None:
    fleet = ModelledFleet({**CALM, "mode": "Off"}, pods=1, service=Service(requests_per_second=1))
    fleet.silent = {pod.uid for pod in fleet.pods}
    reconciler = reconciler_of(fleet)
    await drive(reconciler, fleet, 1200)
    statuses = fleet.status_writes

    await drive(reconciler, fleet, 1800)

    assert fleet.status_writes == statuses
    assert fleet.checkpoint_writes == 0


async def test_a_restarted_operator_knows_what_went_back(tuned: ModelledFleet, reconciler_of: Make) -> None:
    stored = tuned.checkpoints[KEY]
    memory = {**tuned.memory, "rejected": [REJECTED]}
    tuned.checkpoints[KEY] = replace(stored, content={**(stored.content or {}), "memory": memory})

    await reconciler_of(tuned).reconcile(KEY)
    tuned.edit(maxReplicas=9)
    await reconciler_of(tuned).reconcile(KEY)

    assert tuned.memory["rejected"] == [REJECTED]


async def test_what_somebody_else_wrote_or_deleted_counts_from_the_next_pass(
    tuned: ModelledFleet, reconciler_of: Make, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    reconciler = reconciler_of(tuned)
    await drive(reconciler, tuned, 10)
    tuned.checkpoints[KEY] = StoredCheckpoint({"memory": {"version": 1, "newer": 3}}, "77")
    await drive(reconciler, tuned, 400)
    assert tuned.memory["newer"] == 3

    del tuned.checkpoints[KEY]
    await drive(reconciler, tuned, 400)

    assert "newer" not in tuned.memory
    assert "its TuningCheckpoint is gone" in caplog.text


@pytest.mark.parametrize(
    ("stored", "said"),
    [
        pytest.param(StoredCheckpoint(), "there is no TuningCheckpoint", id="missing"),
        pytest.param(StoredCheckpoint({"memory": {"tried": "x"}}, "7", foreign=True), "is another's", id="foreign"),
        pytest.param(StoredCheckpoint({"memory": 7}, "7"), "whose memory is no object", id="unreadable"),
        pytest.param(StoredCheckpoint({"memory": {"known": 7, "changes": [1]}}, "7"), "", id="figures unreadable"),
    ],
)
async def test_a_checkpoint_that_is_not_ours_to_read_is_a_fresh_memory(
    stored: StoredCheckpoint, said: str, reconciler_of: Make, drive: Drive, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = ModelledFleet(CHOOSING)
    fleet.checkpoints[KEY] = stored

    with caplog.at_level(logging.INFO):
        await drive(reconciler_of(fleet), fleet, 30)

    assert said in caplog.text
    assert fleet.condition("Ready")["status"] == "True"
    assert fleet.document_writes
    assert len(fleet.memory["changes"]) == fleet.document_writes, "ours has taken its place"


async def test_a_policy_that_was_made_anew_remembers_nothing_of_the_earlier_one(
    tuned: ModelledFleet, reconciler_of: Make
) -> None:
    reconciler = reconciler_of(tuned)
    await reconciler.reconcile(KEY)
    tuned.checkpoints[KEY] = replace(tuned.checkpoints[KEY], foreign=True)
    tuned.resources[KEY] = tuned.resource({**CHOOSING, "mode": "Recommend"}, uid="two")

    await reconciler.reconcile(KEY)

    assert tuned.memory["known"] == []


async def test_the_memory_of_an_earlier_version_is_taken_over_once_and_goes_from_the_status(
    tuned: ModelledFleet, reconciler_of: Make, caplog: pytest.LogCaptureFixture
) -> None:
    memory = {**tuned.memory, "rejected": [REJECTED]}
    hold = {"time": "2026-01-01T00:00:00.000Z", "reason": "NoTraffic", "message": "idle"}
    decisions = [hold, *tuned.status["decisions"]]
    status = {**tuned.status, "tuner": memory, "decisions": decisions}
    tuned.resources[KEY] = replace(tuned.resources[KEY], status=status)
    tuned.checkpoints.clear()

    with caplog.at_level(logging.INFO):
        await reconciler_of(tuned).reconcile(KEY)

    assert tuned.memory["rejected"] == [REJECTED]
    assert tuned.holds[0] == hold
    assert "tuner" not in tuned.status
    assert tuned.status["decisions"] == decisions[1:]
    assert "is taken over" in caplog.text

    tuned.resources[KEY] = replace(tuned.resources[KEY], status={**tuned.status, "tuner": {"rejected": []}})
    await reconciler_of(tuned).reconcile(KEY)
    assert tuned.memory["rejected"] == [REJECTED], "a checkpoint goes first"
    assert "tuner" not in tuned.status


class Refusing:
    """A fleet whose checkpoint cannot be read or written."""

    def __init__(self, fleet: ModelledFleet, call: str, error: Exception) -> None:
        self._fleet, self._call, self._error = fleet, call, error

    def __getattr__(self, name: str) -> Any:
        async def refuses(*_: Any) -> None:
            raise self._error

        return refuses if name == self._call else getattr(self._fleet, name)


@pytest.mark.parametrize("call", ["checkpoint", "write_checkpoint"])
async def test_a_right_that_is_missing_is_said_and_tuning_goes_on(call: str, settings: Any, drive: Drive) -> None:
    fleet = ModelledFleet(CHOOSING)
    platform = Refusing(fleet, call, PlatformRefused(Reason.FORBIDDEN, "tuningcheckpoints is forbidden"))
    reconciler = Reconciler(platform, fleet, now=lambda: fleet.now, settings=settings)  # type: ignore[arg-type]

    await drive(reconciler, fleet, 60)

    ready = fleet.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "Forbidden")
    assert "what is learnt cannot be stored: tuningcheckpoints is forbidden" in ready["message"]
    assert fleet.events.count(("Forbidden", True)) == 1
    assert fleet.document_writes >= 2

    await drive(Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings), fleet, 1)
    assert fleet.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("error", [Conflict("changed"), PlatformUnavailable("too busy")])
async def test_a_write_that_fails_costs_no_pass(
    error: Exception, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = ModelledFleet(PINNED)
    platform = Refusing(fleet, "write_checkpoint", error)

    await Reconciler(platform, fleet, now=lambda: fleet.now, settings=settings).reconcile(KEY)  # type: ignore[arg-type]

    assert fleet.status["tuning"]["generation"] == 1
    assert fleet.condition("Ready")["status"] == "True"
    assert f"was not written: {error}" in caplog.text


async def test_two_writers_are_compared_and_set(tuned: ModelledFleet, reconciler_of: Make, drive: Drive) -> None:
    reconciler = reconciler_of(tuned)
    await drive(reconciler, tuned, 10)
    theirs = StoredCheckpoint({"memory": {"version": 1, "newer": 3}}, "77")
    tuned.before_checkpoint = lambda: tuned.checkpoints.__setitem__(KEY, theirs)

    await drive(reconciler, tuned, 400)

    assert tuned.memory["newer"] == 3


async def test_an_orderly_stop_writes_what_was_learnt_since(
    reconciler_of: Make, drive: Drive, tuned: ModelledFleet
) -> None:
    reconciler = reconciler_of(tuned)
    await drive(reconciler, tuned, 30)
    before, writes = tuned.memory, tuned.checkpoint_writes

    await reconciler.write_down()

    assert tuned.checkpoint_writes == writes + 1
    assert tuned.memory != before
    assert tuned.memory["known"]


async def test_a_stop_with_nothing_learnt_or_nobody_to_tell_writes_nothing(
    reconciler_of: Make, tuned: ModelledFleet
) -> None:
    reconciler = reconciler_of(tuned)
    await reconciler.write_down()
    await reconciler.reconcile(KEY)
    await reconciler.write_down()
    writes = tuned.checkpoint_writes
    await reconciler.reconcile(KEY)

    tuned.down = True
    await reconciler.write_down()
    tuned.down = False
    tuned.mark_as_deleting()
    await reconciler.write_down()

    assert tuned.checkpoint_writes == writes
