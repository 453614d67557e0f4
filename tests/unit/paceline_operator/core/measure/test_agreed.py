"""A single pod does not speak for all of them: neither for what they have room for, nor for what a name is."""

from collections.abc import Mapping
from typing import Any

import pytest
from paceline_operator.core.measure.agreed import as_most_say, of_most
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.pods import Cpu, PodMemory, PodState, PoolCounters, kinds
from paceline_operator.core.model.tunables import WORKERS, pool, processes

EMPTY = PoolCounters(4, 16, 0, Histogram(), Histogram())


@pytest.mark.parametrize(
    ("found", "least"),
    [((), None), ((8,), 8), ((8, 2), 2), ((8, 8, 8, 2), 2), ((8, 8, 8, 2, 8), 8), ((1, 1, 3, *[9] * 7), 3)],
)
def test_what_four_of_five_have(found: tuple[int, ...], least: int | None) -> None:
    assert of_most(found) == least


def test_what_a_name_is_most_pods_say() -> None:
    assert as_most_say([["a"], ["a"], []], [[], [], [processes("a")]]) == (["a"], [])
    assert as_most_say([["a"], [], []], [[], [processes("a")], [processes("a")]]) == ([], [processes("a")])
    assert as_most_say([["a"], []], [[], [processes("a")]]) == (["a"], [])


def state(uptime: float, cpu: Cpu, **changes: Any) -> PodState:
    fields: Mapping[str, Any] = {"values": {WORKERS: 2}, "pools": {"db": EMPTY}, **changes}
    return PodState(started_at="a", uptime_seconds=uptime, generation=1, cpu=cpu, **fields)


def window(limit: float | None = 2.0, used: tuple[float, float] = (10.0, 15.0), **changes: Any) -> PodWindow:
    before, after = (Cpu(limit, seconds, cores=8) for seconds in used)
    return PodWindow(state(100, before, **changes), state(110, after, **changes))


def test_a_pod_whose_cpu_time_goes_back_is_left_out_alone() -> None:
    seen = observe([window(), window(), window(used=(1e9, 0.0))])

    assert seen is not None
    assert (seen.pods, seen.cpu_seconds) == (2, 10.0)
    assert seen.sound


def test_limits_of_a_single_pod_are_its_own() -> None:
    poor = {"memory": PodMemory(1000, 2000, 50), "pools": {"db": PoolCounters(1, 0, 0, Histogram(), Histogram())}}
    rich = {"memory": PodMemory(1000, 100, 50)}
    seen = observe([*(window(**rich) for _ in range(4)), window(limit=0.01, **poor)])

    assert seen is not None
    assert (seen.cpu_limit, seen.pools["db"].cap, seen.most_workers) == (2.0, 16, 18)


def test_a_limit_that_one_pod_alone_has_is_no_limit() -> None:
    seen = observe([*(window(limit=None) for _ in range(4)), window(limit=0.01)])

    assert seen is not None
    assert (seen.cpu_limit, seen.cpu_ratio) == (None, None)


def test_a_pool_that_one_pod_alone_calls_processes_is_a_pool() -> None:
    odd = {"pools": {}, "queues": {processes("db"): EMPTY}}
    windows = [window(), window(), window(**odd)]
    seen = observe(windows)

    assert seen is not None
    assert (set(seen.pools), set(seen.queues)) == ({"db"}, set())
    assert kinds([each.after for each in windows]) == {}
    assert kinds([windows[2].after]) == {pool("db"): processes("db")}
