"""The law of the admission limit: each rule of its table, and what holds whatever is measured."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.document.tunables import AdmissionValues
from paceline.resources.admission.law import Limit, Reason, Window, advance, begin, within

BOUNDS = AdmissionValues(2, 500, p95_seconds=0.100)
QUIET = Window(responses_per_second=100.0, p90_seconds=0.050, failed_ratio=0.0, in_flight=100)
KNOWN = Limit(100.0, unloaded_seconds=0.020, past=(replace(QUIET, p90_seconds=0.040),) * 4)


@pytest.mark.parametrize(
    ("limit", "window", "bounds", "reason", "value"),
    [
        pytest.param(KNOWN, replace(QUIET, p90_seconds=0.151), BOUNDS, Reason.BRAKE, 90, id="over the objective"),
        pytest.param(KNOWN, replace(QUIET, failed_ratio=0.06), BOUNDS, Reason.BRAKE, 90, id="failing"),
        pytest.param(KNOWN, replace(QUIET, in_flight=49), BOUNDS, Reason.IDLE, 100, id="nobody near the limit"),
        pytest.param(KNOWN, QUIET, BOUNDS, Reason.GROWTH, 102, id="the objective is kept well"),
        pytest.param(KNOWN, replace(QUIET, p90_seconds=0.080), BOUNDS, Reason.QUEUE, 98, id="the objective is near"),
        pytest.param(KNOWN, QUIET, AdmissionValues(2, 500), Reason.QUEUE, 98, id="no objective, a queue"),
        pytest.param(
            replace(KNOWN, unloaded_seconds=0.040), QUIET, AdmissionValues(2, 500), Reason.GROWTH, 102, id="no queue"
        ),
        pytest.param(
            replace(KNOWN, unloaded_seconds=0.0295), QUIET, AdmissionValues(2, 500), Reason.STEADY, 100, id="few wait"
        ),
        pytest.param(Limit(2.0), replace(QUIET, p90_seconds=9.0), BOUNDS, Reason.BRAKE, 2, id="at the minimum"),
        pytest.param(Limit(500.0), replace(QUIET, in_flight=300), BOUNDS, Reason.GROWTH, 500, id="at the maximum"),
    ],
)
def test_a_step(limit: Limit, window: Window, bounds: AdmissionValues, reason: Reason, value: float) -> None:
    after = advance(limit, window, bounds)
    assert (after.reason, after.value) == (reason, value)


def overloaded(limit: Limit, in_flight: int) -> Window:
    """A worker that answers a hundred a second whatever it is given; the rest waits."""
    return Window(100.0, in_flight / 100, 0.0, in_flight)


def test_more_in_flight_that_brings_no_responses_is_taken_back() -> None:
    limit = Limit(60.0, unloaded_seconds=0.5)
    for in_flight in range(40, 60):
        limit = replace(advance(limit, overloaded(limit, in_flight), AdmissionValues(2, 500)), value=60.0)
    assert advance(limit, overloaded(limit, 60), AdmissionValues(2, 500)).reason is Reason.VETO


def test_more_in_flight_that_brings_more_responses_is_kept() -> None:
    limit = Limit(60.0, unloaded_seconds=0.5)
    for in_flight in range(40, 61):
        window = Window(10.0 * in_flight, 0.1, 0.0, in_flight)
        limit = replace(advance(limit, window, AdmissionValues(2, 500)), value=60.0)
    assert limit.reason is Reason.GROWTH


def test_what_an_overload_takes_is_never_taken_for_unloaded() -> None:
    limit = advance(begin(BOUNDS), replace(QUIET, p90_seconds=0.010, in_flight=3), BOUNDS)
    for _ in range(1000):
        limit = advance(limit, overloaded(limit, int(limit.value)), BOUNDS)
    assert limit.unloaded_seconds == 0.010
    for _ in range(100):
        limit = advance(limit, Window(10.0, 0.030, 0.0, 1), BOUNDS)
    assert limit.unloaded_seconds == pytest.approx(0.030, rel=0.01), "but other work may take longer"


windows = st.builds(
    Window,
    responses_per_second=st.floats(0.1, 1e5),
    p90_seconds=st.floats(0, 100),
    failed_ratio=st.floats(0, 1),
    in_flight=st.integers(0, 2000),
)
bounds = st.builds(
    lambda least, more, promised: AdmissionValues(least, least + more, promised),
    st.integers(1, 100),
    st.integers(0, 1000),
    st.none() | st.floats(1e-3, 10),
)


@given(seen=st.lists(windows, max_size=80), allowed=bounds, later=bounds)
def test_the_limit_stays_within_its_bounds_and_never_grows_when_braked(
    seen: list[Window], allowed: AdmissionValues, later: AdmissionValues
) -> None:
    limit = begin(allowed)
    for window in seen:
        before, limit = limit, advance(limit, window, allowed)
        assert allowed.min <= limit.value <= allowed.max
        if limit.reason in (Reason.BRAKE, Reason.VETO, Reason.QUEUE):
            assert limit.value <= before.value
        if limit.reason in (Reason.IDLE, Reason.STEADY):
            assert limit.value == before.value
        assert limit == advance(before, window, allowed)
    assert later.min <= within(limit, later).value <= later.max


@given(seen=st.lists(windows, max_size=60), allowed=bounds.filter(lambda values: values.p95_seconds is not None))
def test_it_recovers_from_anything_once_the_objective_is_kept(seen: list[Window], allowed: AdmissionValues) -> None:
    limit = begin(allowed)
    for window in seen:
        limit = advance(limit, window, allowed)
    assert allowed.p95_seconds is not None
    for _ in range(1100):
        limit = advance(limit, Window(100.0, allowed.p95_seconds / 2, 0.0, int(limit.value)), allowed)
    assert limit.value == allowed.max
