"""The objective is met, and the room for the busiest minute is short: by one window's chance, or for good."""

import pytest
from paceline_operator.core.choice.candidates import candidates, judged
from paceline_operator.core.choice.choose import EQUAL, choose
from paceline_operator.core.choice.cost import Bar
from paceline_operator.core.model.tunables import NOTHING, Values
from paceline_operator.core.situation.memory import Memory
from situations import COST, answers, fitted, policy, seconds, served, values

NEARLY_FULL = {"duration": answers(0.040), "loop_lag": seconds(0.004, 10_000)}
HERE, MORE = values(2, 8), values(3, 8)


@pytest.mark.parametrize(
    ("good", "wanted", "grows"),
    [
        pytest.param(NOTHING, (HERE, MORE), True, id="nobody has judged what is in force"),
        pytest.param(values(2, 9), (HERE, MORE), True, id="other values were judged to do"),
        pytest.param(HERE, (MORE, MORE), True, id="two windows in a row say so"),
        pytest.param(HERE, (MORE,), True, id="there was no window before"),
        pytest.param(HERE, (HERE, MORE), False, id="the window before had the room"),
    ],
)
def test_what_was_judged_to_do_outgrows_its_room_in_two_windows(
    good: Values, wanted: tuple[Values, ...], grows: bool
) -> None:
    memory = Memory(last_known_good=good, wanted=wanted)
    given = served(2, 8, policy=policy(objective=COST), window=NEARLY_FULL, memory=memory)
    found = choose(given, fitted(given), COST)

    assert (found is not None) is grows


def test_where_nothing_has_the_room_what_comes_nearest_to_it_is_taken() -> None:
    throttled = {"duration": answers(0.300, 0.060), "loop_lag": seconds(0.012, 10_000), "throttled_ratio": 0.3}
    given = served(4, 4, policy=policy(objective=COST), window=throttled)
    model = fitted(given)
    bar, current = Bar.of(given, model, COST), judged(given, model, given.values)
    expected = [p95 for each in candidates(given, model, COST) if (p95 := bar.expected(each)) is not None]
    found = choose(given, model, COST)

    assert min(expected) > bar.seconds, "nothing has the room"
    assert found is not None
    assert current is not None
    assert (bar.expected(found.best) or 0.0) <= min(expected) * (1 + EQUAL)
    assert (bar.expected(current) or 0.0) > min(expected)
