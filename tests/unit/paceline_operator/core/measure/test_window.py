"""Where windows begin, when a decision is due, and when to look again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.measure.busiest import Minutes
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.pods import PodState, RequestCounters
from paceline_operator.core.measure.window import Window, short_window
from situations import NOW

INTERVAL, SETTLE = timedelta(seconds=60), timedelta(seconds=15)


def state(generation: int = 3, uptime: float = 1000.0, *pending: str) -> PodState:
    return PodState("a", uptime, generation, pending=pending)


def at(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def started() -> Window:
    """One pod whose window began at NOW, after the first decision."""
    return Window().advanced({"p": state()}, NOW, SETTLE).begun_anew({"p": state()}, NOW)


def test_the_first_look_is_due_and_a_settled_pod_begins_its_window() -> None:
    window = Window().advanced({"p": state()}, NOW, SETTLE)

    assert window.due(NOW, INTERVAL, 1)
    assert window.marks["p"].began == NOW


def test_a_pod_that_has_just_started_settles_first() -> None:
    window = Window().advanced({"p": state(uptime=5)}, NOW, SETTLE)

    assert window.marks["p"].began is None
    assert window.next_look(NOW, SETTLE, INTERVAL) == at(10)
    later = window.advanced({"p": state(uptime=15)}, NOW + at(10), SETTLE)
    assert later.marks["p"].began == NOW + at(10)


def test_a_decision_is_due_when_nearly_all_windows_are_whole() -> None:
    window, states = started(), {"p": state()}

    assert not window.due(NOW + at(50), INTERVAL, 1)
    assert window.due(NOW + at(54), INTERVAL, 1)
    assert not window.due(NOW + at(54), INTERVAL, 2)
    assert len(window.pod_windows(states, NOW + at(54), INTERVAL)) == 1
    assert window.pod_windows({}, NOW + at(54), INTERVAL) == ()


def test_a_new_generation_voids_the_window_and_settles_anew() -> None:
    window = started().advanced({"p": state(4)}, NOW + at(30), SETTLE)

    assert window.marks["p"].began is None
    assert window.next_look(NOW + at(30), SETTLE, INTERVAL) == at(15)


def test_a_pod_with_something_pending_has_no_window() -> None:
    assert started().advanced({"p": state(3, 1000, "workers 2→4")}, NOW, SETTLE).marks == {}


def test_without_whole_windows_a_decision_is_due_after_three_intervals() -> None:
    window = Window(decided=NOW)

    assert not window.due(NOW + at(179), INTERVAL, 0)
    assert window.due(NOW + at(180), INTERVAL, 0)


def test_a_window_with_too_few_samples_goes_on_up_to_its_longest() -> None:
    window = started().extended(NOW + at(60), INTERVAL, INTERVAL * 5)

    assert window.marks["p"].began == NOW
    assert not window.due(NOW + at(61), INTERVAL, 1)
    assert window.next_look(NOW + at(60), SETTLE, INTERVAL) == at(54)
    assert window.due(NOW + at(114), INTERVAL, 1)
    assert window.extended(NOW + at(300), INTERVAL, INTERVAL * 5).marks == {}


def test_looks_never_come_in_a_rush() -> None:
    assert started().next_look(NOW + at(59.9), SETTLE, INTERVAL) == at(3)
    assert Window().next_look(NOW, SETTLE, INTERVAL) == at(15)


@pytest.mark.parametrize(
    ("interval", "length"),
    [(60, 5), (90, 7.5), (300, 10), (20, 5), (19, None), (5, None)],
    ids=lambda value: str(value),
)
def test_a_short_window_is_a_twelfth_of_an_interval_that_is_long_enough(interval: float, length: float | None) -> None:
    assert short_window(at(interval)) == (None if length is None else at(length))


def test_short_windows_go_beside_the_whole_ones() -> None:
    states = {"p": state(), "new": state(uptime=0)}
    window = Window().watched(INTERVAL, closely=True).advanced(states, NOW, SETTLE).begun_anew(states, NOW)

    assert window.close == at(5)
    assert not window.short_due(NOW, 1)
    assert window.next_look(NOW, SETTLE, INTERVAL) == at(5)
    later = window.advanced(states, NOW + at(5), SETTLE)
    assert later.short_due(NOW + at(5), 1)
    assert not later.short_due(NOW + at(5), 2), "the new pod has only settled"
    assert len(later.short_windows(states, NOW + at(5))) == 1
    assert later.short_windows({}, NOW + at(5)) == ()

    glanced = later.glanced({"p": states["p"]}, NOW + at(5))
    assert not glanced.short_due(NOW + at(6), 1), "it has begun anew"
    assert glanced.marks["p"].began == NOW, "and the whole window goes on"
    both = glanced.advanced(states, NOW + at(10), SETTLE)
    assert both.short_due(NOW + at(10), 2)


def test_a_new_generation_settles_for_a_short_time_before_a_short_window() -> None:
    window = started().watched(INTERVAL, closely=True).advanced({"p": state(4)}, NOW + at(30), SETTLE)

    assert window.next_look(NOW + at(30), SETTLE, INTERVAL) == at(5)
    settled = window.advanced({"p": state(4)}, NOW + at(35), SETTLE)
    assert not settled.short_due(NOW + at(35), 1)
    assert settled.marks["p"].short_began == NOW + at(35)
    assert settled.marks["p"].began is None


def test_short_windows_end_once_nobody_asks_for_them() -> None:
    window = started().watched(INTERVAL, closely=True).advanced({"p": state()}, NOW + at(5), SETTLE)
    calm = window.watched(INTERVAL, closely=False)

    assert not calm.short_due(NOW + at(10), 1)
    assert calm.advanced({"p": state()}, NOW + at(10), SETTLE).marks["p"].short is None
    assert calm.next_look(NOW + at(5), SETTLE, INTERVAL) == at(55)
    assert calm.watched(INTERVAL, closely=False) is calm
    assert window.extended(NOW + at(60), INTERVAL, INTERVAL * 5).close == at(5)


def ticking(uptime: float, **changes: Any) -> PodState:
    return replace(state(), uptime_seconds=uptime, **changes)


@pytest.mark.parametrize(
    ("passed", "uptime", "whole"),
    [
        pytest.param(60, 1060, True, id="a minute is a minute"),
        pytest.param(60, 1021, True, id="its report is old, or came late"),
        pytest.param(60, 1000.001, False, id="its clock hardly moves"),
        pytest.param(60, 1400, False, id="its clock races"),
        pytest.param(28_800, 1060, False, id="ours has jumped: the machine slept"),
    ],
)
def test_a_clock_that_does_not_tell_the_time_voids_the_window(passed: float, uptime: float, whole: bool) -> None:
    before, after = {"p": ticking(1000)}, {"p": ticking(uptime)}
    window = Window().advanced(before, NOW, SETTLE).begun_anew(before, NOW).advanced(after, NOW + at(passed), SETTLE)

    assert bool(window.pod_windows(after, NOW + at(passed), INTERVAL)) is whole
    again = {"p": ticking(uptime + 15)}
    later = window.advanced(again, NOW + at(passed + 15), SETTLE)
    assert later.marks["p"].began == (NOW if whole else NOW + at(passed + 15))


def test_the_busiest_minute_is_told_by_clocks_that_tell_the_time() -> None:
    def served(uptime: float, requests: int) -> PodState:
        return ticking(uptime, requests={"GET /": RequestCounters(requests, 0, Histogram())})

    minutes = Minutes().seen({"a": served(0, 0), "b": served(0, 0)}, NOW)
    minutes = minutes.seen({"a": served(60, 600), "b": served(1e-6, 600)}, NOW + at(60))

    assert minutes.busiest == 10


def burst_then_lull() -> Window:
    """A window that begins at noon, whose first minute has 600 requests and the others none."""

    def served(uptime: float, requests: int) -> PodState:
        return ticking(uptime, requests={"GET /": RequestCounters(requests, 0, Histogram())})

    window = Window(decided=NOW).advanced({"p": served(1000, 0)}, NOW - SETTLE, SETTLE)
    for second, requests in ((0, 0), (60, 600), (120, 600)):
        states = {"p": served(1000 + second + SETTLE.total_seconds(), requests)}
        window = window.advanced(states, NOW + at(second), SETTLE)
        window = replace(window, minutes=window.minutes.seen(states, NOW + at(second)))
    return window


def test_minutes_are_forgotten_with_the_marks_of_their_window() -> None:
    window = burst_then_lull()
    assert window.minutes.busiest == 10

    assert window.extended(NOW + at(120), INTERVAL, 5 * INTERVAL).minutes.busiest == 10, "the window goes on"
    assert window.extended(NOW + at(300), INTERVAL, 5 * INTERVAL).minutes.busiest == 0
    again = {"p": ticking(1, started_at="anew")}
    assert window.advanced(again, NOW + at(130), SETTLE).minutes.busiest == 0, "another life, another window"
    assert window.advanced({}, NOW + at(130), SETTLE).minutes.busiest == 0


def test_after_our_own_clock_was_set_back_all_begins_anew() -> None:
    window = started().advanced({"p": ticking(1000)}, NOW - timedelta(hours=1), SETTLE)

    assert window.decided is None
    assert window.marks["p"].began == NOW - timedelta(hours=1)
