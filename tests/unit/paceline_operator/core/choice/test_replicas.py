"""How many pods are wanted: a fleet of four in words, and the number."""

import pytest
from paceline_operator.core.choice.learning import model_of
from paceline_operator.core.choice.replicas import MOST_TIMES, wanted_replicas
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.situation import Situation
from situations import COST, POSTGRES, answers, fleet, policy, seconds, served, situation

SLOW = {"duration": answers(0.060, 0.020), "loop_lag": seconds(0.009, 10_000)}
PINNED = policy(TunableSpec(WORKERS, pinned=2), TunableSpec(POSTGRES, pinned=8), objective=COST)
SWAMPED = {
    "cpu_seconds": 48_000 * 0.0097,
    "cpu_ratio": 0.97,
    "loop_lag": seconds(0.5, 10_000),
}
STAYS = Decision((), Reason.WITHIN_TOLERANCE, "all is well")


def wanted(given: Situation, decision: Decision = STAYS) -> int | None:
    return wanted_replicas(given, model_of(given), decision)


def test_pods_that_have_no_room_are_too_few() -> None:
    found = wanted(served(2, 8, policy=PINNED, window=SLOW))

    assert found is not None
    assert 4 < found <= 8


def test_pods_with_room_to_spare_are_too_many() -> None:
    found = wanted(served(4, 8, policy=PINNED))

    assert found is not None
    assert 1 <= found < 4


def test_what_the_decision_mends_asks_for_no_pod() -> None:
    slow = served(2, 8, policy=policy(objective=COST), window=SLOW)
    before, after = wanted(slow), wanted(slow, Decision((Change(WORKERS, 2, 5),), Reason.LOOP_LAG_HIGH, "more"))

    assert before is not None
    assert after is not None
    assert after <= 4 < before


def test_where_even_many_more_would_not_do_none_are_wanted() -> None:
    waiting = {"duration": answers(0.500, 0.400), "loop_lag": seconds(0.0001, 10_000)}

    assert wanted(served(2, 8, policy=PINNED, window=waiting)) == 4
    assert MOST_TIMES > 1


def test_swamped_pods_ask_for_a_step_where_more_pods_are_what_helps() -> None:
    swamped = served(2, 8, policy=PINNED, window=SWAMPED)
    assert model_of(swamped) is None

    assert wanted(swamped, Decision((), Reason.SCALE_OUT_RECOMMENDED, "CPU at 97%")) == 6
    assert wanted(swamped) is None


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(situation(observation=None), id="nothing was measured"),
        pytest.param(served(2, 8, fleet=fleet(total=0)), id="no pods"),
        pytest.param(served(2, 8, policy=policy(objective=None)), id="no objective"),
    ],
)
def test_nothing_is_said_where_nothing_can_be_told(given: Situation) -> None:
    assert wanted(given) is None


def test_a_setting_that_nothing_is_known_of_says_nothing() -> None:
    few = served(2, 8, policy=PINNED, window={"requests_per_second": 4 * 400.0, "cpu_limit": None})

    assert wanted(few, Decision((Change(WORKERS, 2, 1),), Reason.PINNED_BY_SPEC, "one")) is None


def test_a_decision_carries_the_number() -> None:
    decision, _ = decide(served(2, 8, policy=PINNED, window=SLOW))

    assert decision.replicas is not None
    assert decision.replicas > 4
