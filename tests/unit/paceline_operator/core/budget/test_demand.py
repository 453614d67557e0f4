"""How much a pool is asked for, from two looks at its counters."""

import pytest
from paceline_operator.core.budget.demand import Looked, Tally, demand, tallies
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.pods import PodState, PoolCounters


def tally(uptime: float, checkouts: int, held: float, started: str = "one") -> Tally:
    return Tally(started, uptime, checkouts, held)


def test_rate_load_and_time_held_are_of_all_pods() -> None:
    before = {"a": tally(10, 0, 0), "b": tally(20, 100, 5)}
    after = {"a": tally(40, 1500, 30), "b": tally(50, 1600, 35)}
    found = demand(before, after, workers=4)
    assert found is not None
    assert (found.rate, found.load, found.hold_seconds) == pytest.approx((100, 60 / 60 / 4, 0.02))


@pytest.mark.parametrize(
    "after",
    [
        pytest.param({"a": tally(40, 100, 3, "two")}, id="it was started anew"),
        pytest.param({"a": tally(40, 50, 3)}, id="a counter went back"),
        pytest.param({"b": tally(40, 100, 3)}, id="another pod"),
        pytest.param({"a": tally(12, 100, 3)}, id="too short a time"),
        pytest.param({}, id="nobody"),
    ],
)
def test_where_nobody_can_tell_nothing_is_said(after: dict[str, Tally]) -> None:
    assert demand({"a": tally(10, 90, 2)}, after, 1) is None


def test_a_pool_that_nobody_asks_for_holds_nothing() -> None:
    found = demand({"a": tally(0, 5, 1)}, {"a": tally(30, 5, 1)}, 1)
    assert found is not None
    assert (found.rate, found.hold_seconds) == (0, 0)


def test_a_look_counts_once_the_window_is_over() -> None:
    first = Looked(0.0, {"a": tally(0, 0, 0)})
    assert first.again(29.0, {"a": tally(29, 290, 3)}, 1) is first
    second = first.again(30.0, {"a": tally(30, 300, 3)}, 1)
    assert second.demand is not None
    assert second.demand.rate == pytest.approx(10)


def test_the_counters_are_those_of_the_pool() -> None:
    hold = Histogram(4, 0, {0: 3}, 1.5)
    state = PodState("one", 9.0, 1, pools={"postgres": PoolCounters(1, 9, 0, Histogram(), hold)})
    assert tallies({"a": state, "b": PodState("two", 9.0, 1)}, "postgres") == {"a": tally(9.0, 3, 1.5)}
