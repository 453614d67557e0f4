"""The load that is coming: what two rises in a row say, and what says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.situation.forecast import MOST_RISE, rise_of, with_load
from paceline_operator.core.situation.memory import Memory


@pytest.mark.parametrize(
    ("loads", "rise"),
    [
        pytest.param((210.0, 230.0, 250.0), 250 / 230, id="a load that rises goes on rising, by the smaller rise"),
        pytest.param((200.0, 210.0, 260.0), 210 / 200, id="a jump after a rise is taken for no more than the rise"),
        pytest.param((100.0, 200.0, 400.0), MOST_RISE, id="what doubles is a step, not a day"),
        pytest.param((250.0, 230.0, 250.0), 1.0, id="up and down is chance"),
        pytest.param((250.0, 230.0, 210.0), 1.0, id="a load that falls is planned for as it is"),
        pytest.param((200.0, 200.0, 200.0), 1.0, id="a load that stays"),
        pytest.param((230.0, 250.0), 1.0, id="one rise says nothing"),
        pytest.param((), 1.0, id="nothing has been seen"),
        pytest.param((0.0, 230.0, 250.0), 1.0, id="from nothing to something is no rise"),
        pytest.param((float("nan"), 230.0, 250.0), 1.0, id="what is no number is missing"),
    ],
)
def test_the_rise_to_come(loads: tuple[float, ...], rise: float) -> None:
    assert rise_of(Memory(loads=loads)) == pytest.approx(rise)


def test_three_windows_are_kept() -> None:
    assert with_load((1.0, 2.0, 3.0), 4.0) == (2.0, 3.0, 4.0)


@given(st.lists(st.floats(), max_size=3))
def test_any_loads_give_a_bounded_rise(loads: list[float]) -> None:
    assert 1.0 <= rise_of(Memory(loads=tuple(loads))) <= MOST_RISE
