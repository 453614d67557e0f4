"""The queueing model: what holds for every fit, and for what it predicts."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import responses_of
from paceline_operator.core.model.objectives import P99, Target
from paceline_operator.core.model.tunables import processes
from paceline_operator.core.queueing.fit import fit, longest_slice
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.queueing.waits import FULL, Wait
from situations import COST, observation, pool_seen, postgres_seen, seconds

POOLS = {"postgres": 8.0}


def busy(**changes: Any) -> Observation:
    """Four pods of 83 requests a second each, at 8 ms of CPU; two thirds of a core."""
    pools = postgres_seen(hold=seconds(0.006, 20_000))
    return observation(**{"cpu_seconds": 20_000 * 0.008, "cpu_limit": 2.0, "pools": pools, **changes})


def model(window: Observation | None = None, workers: float = 4.0) -> Model:
    fitted = fit(window or busy(), workers, POOLS)
    assert fitted is not None
    return fitted


@given(
    lag=st.floats(1e-5, 0.05),
    p95=st.floats(0.005, 2.0),
    cpu=st.floats(0.0005, 0.02),
    hold=st.floats(0.001, 0.05),
    throttled=st.floats(0, 1),
    workers=st.integers(1, 12),
)
def test_at_the_values_in_force_it_says_what_was_measured(
    lag: float, p95: float, cpu: float, hold: float, throttled: float, workers: int
) -> None:
    window = observation(
        loop_lag=seconds(lag),
        duration=seconds(p95, 20_000),
        cpu_seconds=20_000 * cpu,
        cpu_limit=2.0,
        throttled_ratio=throttled,
        pools=postgres_seen(hold=seconds(hold, 20_000)),
    )
    fitted = fit(window, workers, POOLS)
    assume(fitted is not None)
    assert fitted is not None
    predicted = fitted.p95(workers, POOLS)
    assert predicted is not None
    assert predicted == pytest.approx(p95, rel=0.02)


@given(workers=st.integers(1, 12), size=st.integers(1, 30))
def test_a_larger_pool_is_never_slower(workers: int, size: int) -> None:
    smaller, larger = (model().p95(workers, {"postgres": float(n)}) for n in (size, size + 1))
    if smaller is not None:
        assert larger is not None
        assert larger <= smaller * (1 + 1e-9)


@given(workers=st.integers(1, 20))
def test_predictions_are_positive_and_more_load_is_never_faster(workers: int) -> None:
    quiet = model()
    now, then = quiet.p95(workers, POOLS), replace(quiet, arrivals=1.2 * quiet.arrivals).p95(workers, POOLS)
    assert now is None or now > 0
    assert then is None or (now is not None and then >= now)


@pytest.mark.parametrize(
    "window",
    [
        pytest.param(busy(loop_lag=seconds(0.001, 0)), id="no loop lag"),
        pytest.param(busy(duration=seconds(0.02, 0)), id="no durations"),
        pytest.param(observation(), id="no CPU seconds"),
        pytest.param(busy(requests=0), id="no requests"),
        pytest.param(busy(requests_per_second=2000.0), id="a loop that never rests"),
        pytest.param(busy(pools=postgres_seen(hold=seconds(0.4, 20_000))), id="an exhausted pool"),
        pytest.param(busy(cpu_seconds=5e-324), id="CPU time that no request can have taken"),
        pytest.param(busy(requests_per_second=0.0), id="requests that came at no rate"),
        pytest.param(busy(cpu_seconds=float("nan")), id="CPU time that is no number"),
        pytest.param(busy(loop_lag=seconds(1e7)), id="a lag longer than anybody measures"),
        pytest.param(busy(cpu_limit=5e-324), id="hardly any CPU to be had"),
    ],
)
def test_where_figures_are_missing_or_a_queue_is_full_there_is_no_model(window: Observation) -> None:
    assert fit(window, 4.0, POOLS) is None


def test_without_a_cpu_limit_there_is_no_quota() -> None:
    free = model(observation(cpu_seconds=160.0))
    assert free.cpu_ratio(4) is None
    assert (free.lag_seconds(8) or 1) < (free.lag_seconds(4) or 0)


def test_a_pool_that_nobody_used_says_nothing() -> None:
    idle = model(observation(cpu_seconds=160.0, pools=postgres_seen(hold=seconds(0.006, 3))))
    assert not idle.pools
    assert idle.p95(4, POOLS) == idle.p95(4, {"postgres": 1.0})


def test_what_requests_wait_for_in_process_pools_is_not_laid_to_loops_and_connections() -> None:
    """One request in ten calls for 100 ms and waits for 200: neither workers nor connections shorten that."""
    calls = pool_seen(wait=seconds(0.2, 2000), hold=seconds(0.1, 2000))
    duration = merge((seconds(0.315, 2000), seconds(0.015, 18_000)))
    window = busy(duration=duration, queues={processes("render"): calls}, cpu_seconds=20_000 * 0.008 + 200)
    told = model(window)
    now, more = told.p95(4, POOLS), told.p95(8, {"postgres": 16.0})

    assert now == pytest.approx(0.315, rel=0.02)
    assert more is not None
    assert more > 0.98 * 0.315
    blind = model(replace(window, queues={}, cpu_seconds=20_000 * 0.008)).p95(8, {"postgres": 16.0})
    assert blind is not None
    assert blind < 0.94 * 0.315


def test_where_nothing_waits_all_of_a_response_is_work() -> None:
    calm = model(observation(cpu_seconds=160.0, loop_lag=seconds(0), pools={}))
    assert calm.rest == Wait(pytest.approx(0.020), pytest.approx(0, abs=1e-9))
    assert calm.p95(2, {}) == calm.p95(8, {}) == pytest.approx(0.020, rel=0.001)


def test_one_more_worker_makes_each_request_dearer() -> None:
    fitted = fit(busy(), 4.0, POOLS, overhead=0.05)
    assert fitted is not None
    assert (fitted.cpu_ratio(8) or 0) > (fitted.cpu_ratio(4) or 1)


def test_a_throttled_window_lays_the_lag_to_the_quota() -> None:
    throttled = fit(
        observation(
            requests_per_second=4 * 400.0, cpu_seconds=20_000 * 0.0042, cpu_limit=2.0, throttled_ratio=0.3,
            loop_lag=seconds(0.004), duration=seconds(0.040, 20_000),
        ),
        4.0, {},
    )  # fmt: skip
    assert throttled is not None
    assert (throttled.lag_seconds(2) or 0) > 0
    assert (throttled.p95(8, {}) or 0) > (throttled.p95(4, {}) or 1)


def test_what_the_quota_delays_keeps_its_connections() -> None:
    window = busy(requests_per_second=4 * 200.0, throttled_ratio=0.3, loop_lag=seconds(0.004))
    throttled = model(window)
    lent = throttled.checkouts("postgres", 4) * (throttled.hold_seconds("postgres", 4) or 0.0)
    assert throttled.p95(4, {"postgres": 0.999 * lent / FULL}) is None
    assert throttled.p95(4, {"postgres": 2 * lent}) is not None


def test_lag_that_the_cpu_time_does_not_explain_is_there_with_any_number_of_workers() -> None:
    """A noisy neighbour: loops that hardly compute lag by 40 ms."""
    window = busy(cpu_limit=None, cpu_seconds=20_000 * 0.002, loop_lag=seconds(0.040), duration=seconds(0.067, 20_000))
    fitted = fit(window, 2, POOLS)
    assert fitted is not None
    more = fitted.p95(8, POOLS)
    assert more is not None
    assert more > 0.95 * 0.067


def test_lag_of_a_busy_loop_goes_with_more_workers() -> None:
    window = busy(cpu_limit=None, cpu_seconds=20_000 * 0.016, loop_lag=seconds(0.016), duration=seconds(0.067, 20_000))
    fitted = fit(window, 2, POOLS)
    assert fitted is not None
    more = fitted.p95(4, POOLS)
    assert more is not None
    assert more < 0.8 * 0.067


def test_how_long_a_turn_on_the_loop_may_be() -> None:
    assert longest_slice(0.004, 2) == pytest.approx(0.00625)


@given(tail=st.floats(0.05, 1.0), workers=st.integers(1, 8))
def test_with_p99_as_the_objective_it_says_p99(tail: float, workers: int) -> None:
    objective = replace(COST, quantile=P99)
    duration = merge((seconds(0.020, 19_000), seconds(tail, 1000)))
    window = busy(duration=duration, responses=responses_of(objective.targets, [duration]))
    fitted = fit(window, 4.0, POOLS)
    assert fitted is not None

    assert fitted.p95(4.0, POOLS) == pytest.approx(tail, rel=1e-3)
    moments = fitted.moments(workers, POOLS)
    if moments is not None:
        assert fitted.p95(workers, POOLS) == pytest.approx(moments[0] + 3.6 * moments[1], rel=1e-3)


def test_of_several_objectives_each_is_what_was_measured_and_gains_what_the_others_do() -> None:
    """Reports take 3 s of 2 s and wait as the others: what five workers save of 30 ms they save of 3 s."""
    reports = Target(timedelta(seconds=2), match="GET /reports/*")
    quick = Target(timedelta(seconds=1), match="GET /quick")
    objective = replace(COST, routes=(reports, quick))
    durations = [seconds(0.060, 18_000), seconds(3.0, 1000), seconds(0.010, 1000)]
    window = busy(duration=merge(durations), responses=responses_of(objective.targets, durations))
    alone = model(busy(duration=durations[0]))
    fitted = model(window)
    unit = 0.045 / 2

    assert fitted.p95(4.0, POOLS) == pytest.approx(unit * 3.0)
    now, then = alone.p95(4.0, POOLS), alone.p95(6.0, POOLS)
    assert now is not None
    assert then is not None
    assert fitted.p95(6.0, POOLS) == pytest.approx(unit * (3.0 + then - now))
    faster = fitted.promised[2]
    assert faster.factor == pytest.approx(0.010 / 0.060)
    assert faster.offset == 0
