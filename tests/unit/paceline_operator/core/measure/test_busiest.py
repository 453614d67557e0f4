"""The busiest minute of a long window: what looks at two pods make of it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from paceline_operator.core.measure.busiest import Minutes
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.pods import PodState, RequestCounters
from situations import COST, NOW

OBJECTIVE = replace(COST, excluded_routes=frozenset({"GET /healthz"}))


def pod(minute: float, requests: int, started: str = "a") -> PodState:
    counters = {
        "GET /products": RequestCounters(requests, 0, Histogram()),
        "GET /healthz": RequestCounters(10**6, 0, Histogram()),
    }
    return PodState(started_at=started, uptime_seconds=60 * minute, generation=1, requests=counters)


def looked(*looks: tuple[float, PodState]) -> Minutes:
    """After looks at one pod, each so many minutes after noon."""
    minutes = Minutes()
    for minute, state in looks:
        minutes = minutes.seen({"uid": state}, NOW + timedelta(minutes=minute), OBJECTIVE)
    return minutes


@pytest.mark.parametrize(
    ("looks", "busiest"),
    [
        pytest.param(((0, pod(0, 0)),), 0.0, id="one look"),
        pytest.param(
            ((0, pod(0, 0)), (1, pod(1, 600)), (2, pod(2, 6600)), (3, pod(3, 7200))), 100.0, id="one of three"
        ),
        pytest.param(((0, pod(0, 0)), (0.5, pod(0.5, 6000)), (1, pod(1, 6000))), 100.0, id="half a minute is none"),
        pytest.param(((0, pod(0, 0)), (1, pod(0.5, 9000, "b"))), 0.0, id="another life"),
        pytest.param(((0, pod(0, 900)), (1, pod(1, 0))), 0.0, id="a counter that went back"),
        pytest.param(((0, pod(0, 0)), (1, pod(0, 900))), 0.0, id="a pod's clock that stands"),
    ],
)
def test_the_busiest_minute(looks: tuple[tuple[float, PodState], ...], busiest: float) -> None:
    assert looked(*looks).busiest == busiest


def test_the_next_window_starts_without_it_and_the_minute_goes_on() -> None:
    before = looked((0, pod(0, 0)), (1, pod(1, 6000)))
    after = before.forgotten()

    assert (after.busiest, after.began, after.counts) == (0.0, before.began, before.counts)


@pytest.mark.parametrize(
    ("began", "busiest"),
    [
        pytest.param(0, 100.0, id="all of them"),
        pytest.param(1, 50.0, id="the first was over when it began"),
        pytest.param(2, 10.0, id="the last alone"),
        pytest.param(3, 0.0, id="none"),
    ],
)
def test_minutes_are_forgotten_that_were_over_when_the_window_began(began: int, busiest: float) -> None:
    minutes = looked((0, pod(0, 0)), (1, pod(1, 6000)), (2, pod(2, 9000)), (3, pod(3, 9600)))
    assert minutes.since(NOW + timedelta(minutes=began)).busiest == busiest
    assert minutes.since(NOW + timedelta(minutes=began)).began == minutes.began
