"""Verdicts: which change is kept, which is taken back, and which has to wait."""

from datetime import timedelta

import pytest
from paceline_operator.core.model import WORKERS, Change, Decision, Reason
from paceline_operator.core.observe import Observation
from paceline_operator.core.situation import Memory, Pending
from paceline_operator.core.verify import MOST_REJECTED, dead_band, remember, verify
from situations import NOW, POSTGRES, fleet, measured, observation, pending, policy, seconds, situation, values

BACK = (Change(WORKERS, 4, 2), Change(POSTGRES, 8, 10))
SHRINK = pending(changes=(Change(POSTGRES, 9, 8),), reason=Reason.POOL_OVERSIZED)


@pytest.mark.parametrize(
    ("given_pending", "window", "kept"),
    [
        pytest.param(pending(), observation(), True, id="no worse"),
        pytest.param(pending(), observation(duration=seconds(0.0215)), True, id="worse within the dead band"),
        pytest.param(pending(), observation(duration=seconds(0.023)), False, id="worse beyond the dead band"),
        pytest.param(
            pending(),
            observation(duration=seconds(0.023), requests_per_second=400.0),
            True,
            id="worse, but the added capacity serves more",
        ),
        pytest.param(
            SHRINK,
            observation(duration=seconds(0.023), requests_per_second=400.0),
            False,
            id="a shrink under more load is taken back",
        ),
        pytest.param(pending(), observation(errors=40), False, id="more errors"),
        pytest.param(
            pending(baseline=measured(error_ratio=0.01)), observation(errors=200), True, id="as many errors as before"
        ),
        pytest.param(
            pending(baseline=measured(samples=200)),
            observation(duration=seconds(0.026)),
            True,
            id="few samples make a wide dead band",
        ),
    ],
)
def test_verdict(given_pending: Pending, window: Observation, kept: bool) -> None:
    decision, memory = verify(situation(memory=Memory(pending=given_pending), observation=window))

    assert (decision is None) is kept
    assert memory.pending is None
    assert bool(memory.last_known_good) is kept
    assert bool(memory.rejected) is not kept


def test_a_roll_back_restores_and_explains() -> None:
    decision, memory = verify(
        situation(memory=Memory(pending=pending()), observation=observation(duration=seconds(0.0242)))
    )

    assert decision is not None
    assert decision.reason is Reason.ROLLED_BACK
    assert decision.changes == BACK
    assert "p95 20ms → 24.2ms, ×1.21 > 1.10 (after LoopLagHigh, 1m15s ago)" in decision.message
    assert memory.rejected[0].values == values(4, 8)


def test_a_change_made_by_hand_since_is_not_undone() -> None:
    decision, _ = verify(
        situation(
            values=values(4, 6), memory=Memory(pending=pending()), observation=observation(duration=seconds(0.05))
        )
    )

    assert decision is not None
    assert decision.changes == (Change(WORKERS, 4, 2),)


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(None, id="no window"),
        pytest.param(observation(requests=10), id="too few requests"),
        pytest.param(observation(duration=seconds(0.02, 0)), id="a window without durations"),
    ],
)
def test_without_a_window_the_verdict_waits_for_its_deadline(window: Observation | None) -> None:
    waiting = situation(memory=Memory(pending=pending()), observation=window)
    assert verify(waiting) == (None, waiting.memory)

    late = situation(memory=Memory(pending=pending(deadline=NOW)), observation=window)
    decision, memory = verify(late)
    assert decision is not None
    assert decision.changes == BACK
    assert memory.pending is None


def test_a_container_killed_for_memory_is_rolled_back_at_once() -> None:
    decision, _ = verify(
        situation(
            memory=Memory(pending=pending(restarts=1)), observation=None, fleet=fleet(out_of_memory=True, restarts=2)
        )
    )

    assert decision is not None
    assert decision.reason is Reason.OUT_OF_MEMORY


def test_a_kill_from_before_the_change_is_not_held_against_it() -> None:
    decision, _ = verify(
        situation(
            memory=Memory(pending=pending(restarts=2)), observation=None, fleet=fleet(out_of_memory=True, restarts=2)
        )
    )

    assert decision is None


@pytest.mark.parametrize(("samples", "band"), [(200, 0.358), (2000, 0.113), (20_000, 0.1)])
def test_the_dead_band_is_what_chance_explains(samples: int, band: float) -> None:
    assert dead_band(0.01, samples) == pytest.approx(band, abs=0.001)


def test_only_the_last_rejections_are_remembered() -> None:
    memory = Memory(pending=pending())
    for _ in range(MOST_REJECTED + 3):
        _, after = verify(situation(memory=memory, observation=observation(duration=seconds(0.05))))
        memory = Memory(pending=pending(), rejected=after.rejected)

    assert len(memory.rejected) == MOST_REJECTED


def test_a_tuned_change_is_remembered_with_its_baseline_and_deadline() -> None:
    before = situation()
    decision = Decision((Change(WORKERS, 4, 5),), Reason.LOOP_LAG_HIGH, "more", tuned=True)

    memory = remember(before, Memory(changes=(NOW - timedelta(hours=2),)), decision, 18)

    assert memory.changes == (NOW,)
    assert memory.pending is not None
    assert (memory.pending.generation, memory.pending.baseline.samples) == (18, 20_000)
    assert memory.pending.deadline > NOW + before.policy.behavior.longest_window


@pytest.mark.parametrize(
    ("decision", "changes"),
    [
        pytest.param(Decision((), Reason.EXTERNAL_CHANGE, "anew"), 0, id="a document written anew"),
        pytest.param(Decision(BACK, Reason.PINNED_BY_SPEC, "pinned"), 0, id="a pinned value"),
        pytest.param(Decision(BACK, Reason.ROLLED_BACK, "back"), 1, id="a roll back, which only cools down"),
    ],
)
def test_what_was_not_tuned_waits_for_no_verdict(decision: Decision, changes: int) -> None:
    memory = remember(situation(policy=policy()), Memory(), decision, 18)

    assert memory.pending is None
    assert len(memory.changes) == changes


def test_values_that_were_outgrown_are_not_returned_to_for_a_while() -> None:
    grown = Decision((Change(POSTGRES, 8, 11),), Reason.POOL_WAIT_HIGH, "more", tuned=True)
    shrunk = Decision((Change(POSTGRES, 8, 7),), Reason.POOL_OVERSIZED, "less", tuned=True)

    assert remember(situation(), Memory(), grown, 18).rejected[0].values == values(4, 8)
    assert remember(situation(), Memory(), shrunk, 18).rejected == ()


def test_each_roll_back_is_remembered_for_the_breaker() -> None:
    worse = situation(
        memory=Memory(pending=pending(), rollbacks=tuple(NOW - timedelta(hours=h) for h in (4, 3, 2))),
        observation=observation(duration=seconds(0.0242)),
    )

    _, memory = verify(worse)

    assert memory.rollbacks == (NOW - timedelta(hours=3), NOW - timedelta(hours=2), NOW)
