"""What memory keeps of a decision that is in force."""

from datetime import timedelta

import pytest
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.verdict.pending import awaited_anew, remember
from situations import NOW, POSTGRES, measured, pending, policy, situation, values

BACK = (Change(WORKERS, 4, 2), Change(POSTGRES, 8, 10))


def test_a_tuned_change_is_remembered_with_its_baseline_and_deadline() -> None:
    before = situation()
    decision = Decision((Change(WORKERS, 4, 5),), Reason.LOOP_LAG_HIGH, "more", tuned=True)

    memory = remember(before, Memory(changes=(NOW - timedelta(hours=2),)), decision, 18)

    assert memory.changes == (NOW,)
    assert memory.pending is not None
    assert (memory.pending.generation, memory.pending.baseline.samples) == (18, 20_000)
    assert memory.pending.deadline == NOW + timedelta(seconds=15 + 300 + 60)


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("requests_per_second", "minutes"),
    [
        pytest.param(333.0, 5, id="a window of a minute"),
        pytest.param(6.7, 5, id="one of nearly five minutes"),
        pytest.param(4.0, 12.5, id="one of eight minutes"),
        pytest.param(1.0, 50, id="one of 33 minutes"),
        pytest.param(0.6, 60, id="one of 56 minutes"),
        pytest.param(0.0, 5, id="nobody knows"),
    ],
)
def test_a_verdict_may_take_longer_only_where_requests_were_few_before(
    requests_per_second: float, minutes: float
) -> None:
    baseline = measured(requests_per_second=requests_per_second, samples=2000)
    waiting = awaited_anew(situation(), pending(baseline=baseline))
    taken = (waiting.deadline - NOW - timedelta(seconds=75)).total_seconds()
    assert taken == pytest.approx(60 * minutes, abs=1)


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
