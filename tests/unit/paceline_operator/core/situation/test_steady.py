"""When good news has to last: after six turns within an hour, until ten minutes without one."""

from datetime import timedelta

import pytest
from paceline_operator.core.situation.steady import LASTING, MOST_TURNS, Steady
from situations import NOW

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("minutes", "after", "comes_and_goes"),
    [
        pytest.param((), 0, False, id="it was always so"),
        pytest.param((0, 1, 2, 3, 4), 4, False, id="five turns"),
        pytest.param((0, 1, 2, 3, 4, 5), 5, True, id="six"),
        pytest.param((0, 1, 2, 3, 4, 5), 14, True, id="nine minutes later"),
        pytest.param((0, 1, 2, 3, 4, 5), 15, False, id="ten minutes later"),
        pytest.param((0, 12, 24, 36, 48, 60), 60, False, id="six, but not within an hour"),
    ],
)
def test_what_has_turned_six_times_within_an_hour_has_to_last(
    minutes: tuple[int, ...], after: int, comes_and_goes: bool
) -> None:
    steady, states = Steady().seen(("True",), NOW), (("False",), ("True",))
    for number, minute in enumerate(minutes):
        steady = steady.seen(states[number % 2], NOW + minute * MINUTE)
    assert steady.comes_and_goes(NOW + after * MINUTE) is comes_and_goes


def test_the_first_look_is_no_turn_and_few_turns_are_kept() -> None:
    steady = Steady()
    for number in range(100):
        steady = steady.seen((str(number),), NOW + number * timedelta(seconds=1))
    assert len(steady.turns) == 2 * MOST_TURNS
    assert Steady().seen(("False",), NOW).turns == ()


def test_a_clock_that_was_set_back_forgets_what_has_not_happened_yet() -> None:
    steady = Steady(("True",), (NOW + LASTING,)).seen(("False",), NOW)
    assert steady.turns == (NOW,)
