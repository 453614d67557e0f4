"""The way to values that a person wants back, and what goes before that wish."""

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Bounds, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Held
from situations import POSTGRES, pending, policy, pool_spec, situation, workers_spec

BACK = Held("generation 5", {WORKERS: 2, POSTGRES: 12})


def test_the_values_are_brought_back_and_a_verdict_that_was_due_is_dropped() -> None:
    decision, memory = decide(situation(held=BACK, memory=Memory(pending=pending())))

    assert decision.changes == (Change(WORKERS, 4, 2), Change(POSTGRES, 8, 12))
    assert decision.reason is Reason.ROLLED_BACK
    assert "held at generation 5 by annotation until it is removed" in decision.message
    assert memory.pending is None


def test_once_they_are_in_force_nothing_moves_whatever_is_measured() -> None:
    decision, _ = decide(situation(held=BACK, values=BACK.values))

    assert decision.changes == ()
    assert decision.reason is Reason.ROLLED_BACK


def test_values_that_no_pod_reports_are_not_guessed() -> None:
    decision, _ = decide(situation(held=Held("baseline", {})))

    assert (decision.changes, decision.reason) == ((), Reason.NOT_REPORTING)


@pytest.mark.parametrize(
    ("workers", "values", "changes", "said"),
    [
        pytest.param(
            workers_spec(3, 8), {WORKERS: 4, POSTGRES: 12}, (Change(WORKERS, 4, 3),), "workers was 2", id="bounds"
        ),
        pytest.param(
            TunableSpec(WORKERS, pinned=4), {WORKERS: 4, POSTGRES: 12}, (), "workers was 2", id="a-pinned-value"
        ),
    ],
)
def test_the_policy_goes_first(workers: TunableSpec, values: Values, changes: tuple[Change, ...], said: str) -> None:
    decision, _ = decide(situation(held=BACK, policy=policy(workers, pool_spec()), values=values))

    assert decision.changes == changes
    assert said in decision.message


def test_what_the_policy_does_not_name_is_not_touched() -> None:
    only_workers = policy(TunableSpec(WORKERS, bounds=Bounds(1, 8)))

    decision, _ = decide(situation(held=BACK, policy=only_workers))

    assert decision.changes == (Change(WORKERS, 4, 2),)
