"""The kernel against queueing theory, and what holds for any load."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline_operator.core.queueing.queueing import erlang_c
from paceline_operator.simulation.event_heap import new_heap, pop, push
from paceline_operator.simulation.kernel import play
from paceline_operator.simulation.records import BUCKETS, DURATION, HOLD, LAG, WAIT, Fleet, Load, Played

from tests.benchmarks.simpy_fleet import SimpyFleet
from tests.benchmarks.simulator import FLEET

MANY_CORES = 64.0


def played(
    rate: float,
    *,
    pods: int = 1,
    cpu: float = 1e-6,
    seconds: int = 400,
    seed: int = 1,
    miss: float = 1.0,
    queries: float = 1.0,
    delay: float = 0.0,
    **fleet: Any,
) -> Played:
    parts: dict[str, Any] = {
        "workers": 1,
        "pool": 1000,
        "cpu_limit": MANY_CORES,
        "cpu_sigma": 0.0,
        "query_seconds": 0.01,
        "query_sigma": 0.0,
        "contention": 0.0,
        "coherency": 0.0,
        "pods_stood_for": 1.0,
    }
    load, delays = Load(5.0, miss, queries), np.full(pods, delay)
    return play(seed, np.full(seconds, rate), np.full(pods, cpu), load, Fleet(**{**parts, **fleet}), delays)


def mean(result: Played, which: int) -> float:
    return float(result.pods["sums"][:, which].sum() / result.pods["histograms"][:, which].sum())


def test_a_loop_with_equal_slices_waits_as_pollaczek_and_khinchine_say() -> None:
    result = played(700.0, cpu=0.001, miss=0.0)
    assert mean(result, LAG) == pytest.approx(0.7 * 0.001 / (2 * (1 - 0.7)), rel=0.05)  # M/D/1


@pytest.mark.parametrize(("size", "load"), [(2, 1.2), (5, 3.5), (20, 15.0)])
def test_a_pool_waits_as_erlang_says(size: int, load: float) -> None:
    hold = 0.01
    result = played(load / hold, pool=size, query_seconds=hold, query_sigma=0.8326, seconds=2000)  # CV 1
    waiting = 1 - result.pods["histograms"][0, WAIT, BUCKETS] / result.pods["histograms"][0, WAIT].sum()
    assert waiting == pytest.approx(erlang_c(size, load), abs=0.03)
    assert mean(result, HOLD) == pytest.approx(hold, rel=0.03)


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_a_pool_of_one_waits_as_a_single_server(load: float) -> None:
    hold = 0.01
    result = played(load / hold, pool=1, query_seconds=hold, query_sigma=0.8326, seconds=4000)
    assert mean(result, WAIT) == pytest.approx(load * hold / (1 - load), rel=0.06)  # M/M/1, as of any with CV 1


def test_a_simpy_model_of_the_same_path_comes_to_the_same_latencies() -> None:
    theirs = SimpyFleet(FLEET, 500.0, 2, 0.004, seed=1).play(40, 5.0)
    ours = play(1, np.full(40, 500.0), np.full(2, 0.004), Load(5.0, 1.0, 1.0), FLEET)
    for percent in (50, 95):
        assert np.percentile(ours.latencies, percent) == pytest.approx(np.percentile(theirs, percent), rel=0.06)


def test_a_slow_loop_holds_connections_longer() -> None:
    quick, slow = played(300.0, cpu=1e-6), played(300.0, cpu=0.003)
    assert mean(slow, HOLD) > mean(quick, HOLD) + 0.003


def test_the_quota_stalls_a_pod_that_wants_more_than_it_may_have() -> None:
    free = played(360.0, cpu=0.0025, workers=4, miss=0.0)
    tight = played(360.0, cpu=0.0025, workers=4, miss=0.0, cpu_limit=1.0)
    assert free.pods["throttled"].sum() == 0
    assert tight.pods["throttled"].sum() > 0
    assert np.percentile(tight.latencies, 95) > np.percentile(free.latencies, 95)
    assert tight.pods["cpu_seconds"].sum() / tight.seconds == pytest.approx(0.9, rel=0.03)


def test_workers_share_the_cores_of_their_node() -> None:
    free = played(360.0, cpu=0.0025, workers=4, miss=0.0)
    shared = played(360.0, cpu=0.0025, workers=4, miss=0.0, cores=1.0)
    assert mean(shared, DURATION) > 2 * mean(free, DURATION)
    assert shared.pods["throttled"].sum() == 0, "nobody throttles: there is no limit"
    assert shared.pods["cpu_seconds"].sum() / shared.seconds == pytest.approx(0.9, rel=0.03)
    too_much = played(600.0, cpu=0.0025, workers=4, miss=0.0, cores=1.0, seconds=60)
    assert too_much.pods["requests"].sum() / too_much.seconds == pytest.approx(400, rel=0.05)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_loop_that_wakes_waits_for_a_core_that_a_neighbour_has(workers: int) -> None:
    result = played(5.0, workers=workers, cpu=0.001, miss=0.0, delay=0.01, seconds=1000)
    assert mean(result, LAG) == pytest.approx(0.01, rel=0.15), "more workers do not take it away"
    assert result.pods["cpu_seconds"].sum() / result.seconds == pytest.approx(0.005, rel=0.1)


def test_queries_slow_each_other_down_as_the_usl_says() -> None:
    alone = played(1000.0, query_seconds=0.01)
    crowded = played(1000.0, query_seconds=0.01, contention=0.02)
    # Little: N = rate · time, and time = 10 ms · (1 + 0.02 (N - 1)).
    assert mean(alone, DURATION) == pytest.approx(0.010, rel=0.02)
    assert mean(crowded, DURATION) == pytest.approx(0.010 * 0.98 / (1 - 0.2), rel=0.05)


def test_a_pod_that_stands_for_three_loads_the_database_like_three() -> None:
    three, one = (played(300.0 * n, contention=0.02, pods_stood_for=3.0 / n) for n in (1, 3))
    assert mean(one, DURATION) == pytest.approx(mean(three, DURATION), rel=0.05)


def test_what_is_never_answered_counts_with_its_age() -> None:
    result = played(200.0, cpu=0.01, seconds=30, miss=0.0)
    assert len(result.latencies) > result.pods["requests"].sum()
    assert np.percentile(result.latencies, 95) > 5


def test_the_same_seed_plays_the_same_requests() -> None:
    one, same, other = (played(300.0, cpu=0.001, seed=seed, seconds=20) for seed in (1, 1, 2))
    assert np.array_equal(one.latencies, same.latencies)
    assert not np.array_equal(one.latencies, other.latencies)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(5, 400),
    workers=st.integers(1, 4),
    pool=st.integers(1, 6),
    limit=st.sampled_from([0.5, 1.0, 4.0]),
    queries=st.sampled_from([0.0, 0.5, 1.0, 2.5]),
)
def test_no_request_is_lost_and_no_quota_exceeded(
    rate: float, workers: int, pool: int, limit: float, queries: float
) -> None:
    result = played(rate, cpu=0.004, seconds=15, workers=workers, pool=pool, cpu_limit=limit, queries=queries, pods=2)
    answered = result.pods["requests"].sum()
    assert answered <= len(result.latencies) + rate * 15 * 1.5 + 100
    assert (result.latencies >= 0).all()
    assert (result.pods["cpu_seconds"] <= limit * (result.seconds + 0.2) + workers * 0.05).all()
    assert result.pods["histograms"][:, DURATION].sum() == answered


@settings(deadline=None)  # the first one compiles
@given(times=st.lists(st.floats(0, 100), max_size=60))
def test_the_heap_gives_events_in_order(times: list[float]) -> None:
    heap, size = new_heap(64), 0
    for index, time in enumerate(times):
        size = push(heap, size, time, 0, index)
    popped = []
    while size:
        size, time, _, which = pop(heap, size)
        assert times[which] == time
        popped.append(time)
    assert popped == sorted(times)
