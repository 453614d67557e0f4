"""Two reports of each pod → one observation: what counts, what is left out, what stays unknown."""

from dataclasses import replace

import pytest
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.pods import (
    CacheCounters,
    Cpu,
    Lookups,
    PodMemory,
    PodState,
    PoolCounters,
    RequestCounters,
    running_values,
    start_values,
)
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Tunable, pool, processes
from situations import COST, seconds

QUIET = RequestCounters(0, 0, seconds(0.02, 0))


def state(uptime: float, requests: int, **changes: object) -> PodState:
    base = PodState(
        started_at="a",
        uptime_seconds=uptime,
        generation=3,
        values={WORKERS: 2, pool("postgres"): 4},
        requests={"GET /": RequestCounters(requests, requests // 10, seconds(0.02, requests))},
        loop_lag=seconds(0.001, requests),
        pools={"postgres": PoolCounters(4, 16, 0, seconds(0.001, requests), seconds(0.006, requests))},
        cpu=Cpu(2.0, uptime, round(uptime * 10), round(uptime)),
    )
    return replace(base, **changes)


BEFORE = state(100, 1000)


def excluding(*routes: str) -> Objective:
    return replace(COST, excluded_routes=frozenset(routes))


def test_a_window_is_the_difference_of_its_ends() -> None:
    seen = observe([PodWindow(BEFORE, state(110, 1600)), PodWindow(BEFORE, state(120, 1400))])

    assert seen is not None
    assert (seen.pods, seen.requests, seen.errors) == (2, 1000, 100)
    assert seen.error_ratio == pytest.approx(0.1)
    assert seen.requests_per_second == pytest.approx(600 / 10 + 400 / 20)
    assert seen.window_seconds == 20
    assert seen.p95 == pytest.approx(0.02)
    assert seen.loop_lag_p95 == pytest.approx(0.001)
    assert seen.pools["postgres"].arrivals_per_worker == pytest.approx(1000 / (2 * 30))
    assert seen.cpu_ratio == pytest.approx(0.5)
    assert seen.throttled_ratio == pytest.approx(0.1)


def test_a_pod_that_is_resized_in_place_counts_as_it_is_now() -> None:
    small = state(100, 1000, cpu=Cpu(1.0, 100.0, 1000, 100), memory=PodMemory(400 * 2**20, 100 * 2**20, 60 * 2**20))
    large = state(110, 1600, cpu=Cpu(3.0, 110.0, 1100, 110), memory=PodMemory(2**30, 100 * 2**20, 60 * 2**20))

    before, after = (
        observe([PodWindow(small, replace(small, uptime_seconds=110.0))]),
        observe([PodWindow(small, large)]),
    )
    assert before is not None
    assert after is not None
    assert (before.cpu_limit, after.cpu_limit) == (1.0, 3.0)
    assert before.most_workers is not None
    assert after.most_workers is not None
    assert after.most_workers > before.most_workers


def test_what_a_pod_s_workers_share_is_counted_a_pod() -> None:
    """Two workers, 60 calls of 50 ms in 10 s and in 20 s: 3 s of the CPU time are not the workers'."""

    def calls(count: int) -> dict[Tunable, PoolCounters]:
        return {processes("render"): PoolCounters(2, 4, 0, seconds(0.001, count), seconds(0.05, count))}

    before = state(100, 1000, queues=calls(10))
    seen = observe(
        [PodWindow(before, state(110, 1600, queues=calls(70))), PodWindow(BEFORE, state(120, 1400, queues=calls(60)))]
    )

    assert seen is not None
    assert seen.queues[processes("render")].arrivals_per_worker == pytest.approx(120 / 30)
    assert seen.queues[processes("render")].hold.count == 120
    assert seen.loop_cpu_seconds == pytest.approx(seen.cpu_seconds - 120 * 0.05)
    assert seen.busy(2) == pytest.approx(24 / 20 / 2 / 2)
    assert replace(seen, cpu_seconds=5.0).busy(2) is None
    assert seen.sound
    assert set(seen.pools) == {"postgres"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(BEFORE, state(10, 100, started_at="b"), id="a pod that started anew"),
        pytest.param(BEFORE, state(110, 1600, generation=4), id="a generation in between"),
        pytest.param(BEFORE, state(110, 1600, pending=("postgres 4→8",)), id="something pending at the end"),
        pytest.param(state(100, 1000, pending=("x",)), state(110, 1600), id="something pending at the start"),
        pytest.param(BEFORE, state(110, 900), id="counters that went back"),
        pytest.param(BEFORE, BEFORE, id="the same report twice"),
        pytest.param(BEFORE, state(110, 1600, cpu=Cpu(2.0, 200.0, 10, 0)), id="cgroup counters that went back"),
    ],
)
def test_a_pod_that_does_not_count_is_left_out(before: PodState, after: PodState) -> None:
    assert observe([PodWindow(before, after)]) is None
    alone = observe([PodWindow(BEFORE, state(110, 1600))])
    assert observe([PodWindow(BEFORE, state(110, 1600)), PodWindow(before, after)]) == alone


def test_excluded_routes_do_not_count() -> None:
    noisy = {"GET /": QUIET, "GET /healthz": RequestCounters(50, 50, seconds(3.0, 50))}
    seen = observe([PodWindow(state(100, 0), replace(state(110, 0), requests=noisy))], excluding("GET /healthz"))

    assert seen is not None
    assert (seen.requests, seen.errors, seen.error_ratio, seen.p95) == (0, 0, 0.0, None)


@pytest.mark.parametrize("excluded_first", [True, False])
def test_a_route_that_moved_out_of_the_others_or_into_them_voids_the_window(excluded_first: bool) -> None:
    together = {"other": RequestCounters(300, 0, seconds(0.02, 300))}
    apart = {"other": RequestCounters(290, 0, seconds(0.02, 290)), "GET /x": RequestCounters(10, 0, seconds(3.0, 10))}
    before, after = (apart, together) if excluded_first else (together, {**apart, "other": together["other"]})
    window = PodWindow(replace(BEFORE, requests=before), replace(state(110, 1600), requests=after))

    assert observe([window], excluding() if excluded_first else excluding("GET /x")) is None


def test_a_route_and_a_pool_seen_for_the_first_time_count_from_zero() -> None:
    seen = observe([PodWindow(replace(BEFORE, requests={}, pools={}), state(110, 1600))])

    assert seen is not None
    assert seen.requests == 1600
    assert seen.pools["postgres"].hold.count == 1600


def test_without_a_cpu_limit_cpu_is_unknown_not_zero() -> None:
    bare = [replace(each, cpu=Cpu()) for each in (BEFORE, state(110, 1600))]
    seen = observe([PodWindow(*bare)])

    assert seen is not None
    assert seen.cpu_ratio is None
    assert seen.throttled_ratio is None


def test_the_fleet_runs_what_most_pods_run() -> None:
    states = [state(1, 1, values={WORKERS: n, pool("postgres"): 4}) for n in (2, 2, 3)]

    assert running_values(states) == {WORKERS: 2, pool("postgres"): 4}
    assert running_values([]) == {}
    assert start_values([replace(each, start_values={WORKERS: 1}) for each in states]) == {WORKERS: 1}


def test_a_tie_goes_to_the_smaller_value() -> None:
    assert running_values([state(1, 1, values={WORKERS: n}) for n in (4, 2)]) == {WORKERS: 2}


def test_what_was_turned_away_is_counted_apart_and_never_goes_back() -> None:
    before, after = state(100, 1000, turned_away=5), state(110, 1600, turned_away=12)
    seen = observe([PodWindow(before, after), PodWindow(BEFORE, state(110, 1600))])
    assert seen is not None
    assert (seen.turned_away, seen.requests) == (7, 1200)
    assert observe([PodWindow(after, before)]) is None


def test_caches_are_added_up_and_a_ttl_counts_only_where_all_pods_looked_at_it() -> None:
    def cached(uptime: float, hits: int, ghosts: dict[float, Lookups]) -> PodState:
        counters = CacheCounters(5.0, Lookups(hits, 10), seconds(0.01, 0), ghosts)
        return state(uptime, 1000 + round(uptime), caches={"responses": counters})

    none = {5.0: Lookups(0, 0), 60.0: Lookups(0, 0)}
    first = PodWindow(cached(100, 10, none), cached(110, 40, {5.0: Lookups(6, 4), 60.0: Lookups(9, 1)}))
    bare = PodWindow(cached(100, 10, {5.0: Lookups(0, 0)}), cached(110, 20, {5.0: Lookups(2, 8)}))
    seen = observe([first, bare])

    assert seen is not None
    told = seen.caches["responses"]
    assert (told.lookups, told.hit_ratio) == (40, 1.0)
    assert told.ghosts == {5.0: 0.4}
    assert told.ghost_lookups == 20


def test_a_cache_that_is_new_counts_from_nothing() -> None:
    counters = CacheCounters(5.0, Lookups(3, 1), seconds(0.01, 0))
    seen = observe([PodWindow(BEFORE, state(110, 1600, caches={"responses": counters}))])
    assert seen is not None
    assert seen.caches["responses"].hit_ratio == 0.75


def test_memory_that_is_left_says_how_many_workers_fit() -> None:
    memory = PodMemory(limit_bytes=1000, used_bytes=500, per_worker_bytes=100)
    seen = observe([PodWindow(BEFORE, state(110, 1600, memory=memory))])
    assert seen is not None
    assert seen.most_workers == 2 + 4


def test_one_slow_pod_of_many_is_left_out_and_many_slow_ones_are_how_it_is() -> None:
    quick = PodWindow(BEFORE, state(110, 1600))
    slow = RequestCounters(1600, 160, merge([seconds(0.02, 1000), seconds(0.2, 600)]))
    late = PodWindow(BEFORE, replace(state(110, 1600), requests={"GET /": slow}))

    one = observe([quick] * 5 + [late])
    assert one is not None
    assert (one.pods, one.left_out) == (5, 1)
    half = observe([quick] * 3 + [late] * 3)
    assert half is not None
    assert (half.pods, half.left_out) == (6, 0)


def test_the_fewest_cores_of_the_pods_that_say_any_count() -> None:
    def ends(cores: int | None) -> PodWindow:
        return PodWindow(BEFORE, state(110, 1600, cpu=Cpu(2.0, 150.0, 1100, 110, cores)))

    seen = observe([ends(8), ends(4), ends(None)])
    assert seen is not None
    assert seen.cores == 4


def test_pods_that_name_themselves_are_told_apart() -> None:
    seen = observe([PodWindow(BEFORE, state(110, 1600, uid="a")), PodWindow(BEFORE, state(120, 1400))])

    assert seen is not None
    assert seen.each.keys() == {"a"}
    one = seen.of({"a"})
    assert one is not None
    assert one.requests == 600
