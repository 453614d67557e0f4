"""Scenario files: defaults, the load's shapes, and what is said of a mistake."""

from typing import Any

import numpy as np
import pytest
from paceline_operator.core.model.tunables import WORKERS, cache, pool
from paceline_operator.errors import UsageError
from paceline_operator.simulation.conditions import conditions_at, rate_at, rolling_out_at, seconds_of_load, template_at
from paceline_operator.simulation.physics import miss_ratio, misses, most_workers
from paceline_operator.simulation.scenario import Scenario, parse_scenario


def scenario(**parts: Any) -> Scenario:
    return parse_scenario({"name": "some", **parts})


def test_every_field_but_the_name_has_a_default() -> None:
    some = scenario()
    assert some.start_values() == {WORKERS: 1, pool("postgres"): 5}
    assert some.parsed_policy().objective is not None
    assert conditions_at(some, 0, 10).requests_per_second == 2600


def test_start_values_are_read_as_people_write_them() -> None:
    started = scenario(start={"workers": 2, "pools": {"db": 3}, "caches": {"a": "30s", "b": 5, "c": {"ttlSeconds": 7}}})
    assert started.start_values() == {WORKERS: 2, pool("db"): 3, cache("a"): 30, cache("b"): 5, cache("c"): 7}


@pytest.mark.parametrize(
    ("load", "rates"),
    [
        pytest.param([{"from": 0, "requestsPerSecond": 100}], {0: 100, 39: 100}, id="constant"),
        pytest.param(
            [{"from": 0, "requestsPerSecond": 100}, {"from": 20, "requestsPerSecond": 300}],
            {19: 100, 20: 300},
            id="step",
        ),
        pytest.param([{"from": 0, "requestsPerSecond": 100, "shape": "ramp", "to": 200}], {0: 100, 39: 200}, id="ramp"),
        pytest.param(
            [{"from": 0, "requestsPerSecond": 1000, "shape": "diurnal", "amplitude": 0.4, "period": 24}],
            {0: 1000, 6: 1400, 18: 600},
            id="a day",
        ),
        pytest.param(
            [{"from": 2, "requestsPerSecond": 7}],
            None,
            id="nothing at the start",
        ),
        pytest.param(
            [{"from": 0, "requestsPerSecond": 100, "shape": "burst", "factor": 2, "every": 8, "length": 2}],
            {0: 200, 1: 200, 2: 100, 8: 200},
            id="bursts",
        ),
        pytest.param(
            [{"from": 0, "requestsPerSecond": 100, "shape": "weekly", "amplitude": 0.4, "period": 4, "factor": 0.5}],
            {0: 100, 1: 140, 17: 140, 20: 50, 21: 70, 27: 30, 28: 100},
            id="two days of seven are a weekend",
        ),
    ],
)
def test_load(load: list[dict[str, Any]], rates: dict[int, float] | None) -> None:
    if rates is None:
        with pytest.raises(UsageError, match="load begins at interval 0"):
            scenario(load=load)
        return
    some = scenario(load=load)
    for interval, rate in rates.items():
        assert rate_at(some, interval) == pytest.approx(rate)


def test_faults_change_the_conditions_while_they_last() -> None:
    faulty = scenario(
        faults=[
            {"from": 5, "until": 7, "kind": "slow-database", "factor": 3},
            {"from": 5, "until": 7, "kind": "max-connections", "count": 90},
            {"from": 5, "until": 7, "kind": "replicas", "count": 20},
            {"from": 5, "until": 7, "kind": "slow-pod", "pods": 2, "factor": 4},
            {"from": 9, "kind": "rollout"},
            {"from": 9, "kind": "telemetry-noise"},
        ]
    )
    during, after = conditions_at(faulty, 6, 10), conditions_at(faulty, 7, 10)
    assert (during.database_factor, during.max_connections, during.replicas) == (3, 90, 20)
    assert (during.slow_pods, during.slow_factor) == (2, 4)
    assert (after.database_factor, after.max_connections, after.replicas, after.slow_pods) == (1, 200, 10, 0)
    assert faulty.active("rollout", 9)
    assert not faulty.active("rollout", 10)
    assert faulty.active("telemetry-noise", 39)


def test_a_broken_pod_serves_nothing_and_the_others_serve_its_share() -> None:
    broken = scenario(faults=[{"from": 5, "until": 7, "kind": "broken-pods", "pods": 2}])
    sound, during = conditions_at(broken, 4, 10), conditions_at(broken, 5, 10)
    assert (sound.serving, during.replicas, during.serving) == (10, 10, 8)
    assert sound.planned_per_second == during.planned_per_second == 1.25 * 2600, "of those that serve, each its share"
    assert conditions_at(broken, 5, 2).serving == 1, "one at least is sound"


def test_a_deploy_brings_other_pods_and_its_end_the_ones_before() -> None:
    deployed = scenario(
        faults=[{"from": 5, "until": 7, "kind": "deploy", "factor": 1.5}, {"from": 9, "kind": "rollout"}]
    )
    assert [conditions_at(deployed, interval, 10).cpu_factor for interval in (4, 5, 6, 7)] == [1, 1.5, 1.5, 1]
    assert [template_at(deployed, interval) for interval in (4, 5, 7)] == ["first", "deploy-5", "first"]
    assert [interval for interval in range(12) if rolling_out_at(deployed, interval)] == [5, 7, 9]


def test_neighbours_and_cold_caches_last_as_long_as_they_are_said_to() -> None:
    noisy = scenario(
        faults=[
            {"from": 5, "kind": "noisy-neighbour", "pods": 3, "delay": "20ms"},
            {"from": 5, "kind": "cold-cache", "share": 0.5},
        ]
    )
    during, after = conditions_at(noisy, 5, 10), conditions_at(noisy, 6, 10)
    assert (during.noisy_pods, during.delay_seconds, during.cold_share) == (3, 0.02, 0.5)
    assert (after.noisy_pods, after.cold_share) == (3, 0), "a cache is cold for an interval unless told otherwise"
    service = scenario(service={"cacheableShare": 1.0}).service
    assert misses(service, during, 30) == pytest.approx(1 - 0.5 * (1 - misses(service, after, 30)))


def test_what_a_pod_may_use_is_bounded_by_its_limit_or_by_its_node() -> None:
    assert scenario(fleet={"cpuLimit": 2, "cores": 8}).fleet.cpu == 2
    assert scenario(fleet={"cpuLimit": None, "cores": 8}).fleet.cpu == 8
    with pytest.raises(UsageError, match="without a cpuLimit the cores of a node have to be given"):
        scenario(fleet={"cpuLimit": None})


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"name": ""}, "name: "),
        ({"fleet": {"pods": 3}}, "fleet.pods: "),
        ({"service": {"cpuPerRequest": "soon"}}, "service.cpuPerRequest: 'soon' is not a duration"),
        ({"service": {"cpuPerRequest": True}}, "service.cpuPerRequest: "),
        ({"faults": [{"kind": "meteor"}]}, "faults.0.kind: "),
        ({"policy": {"workers": {"min": 3, "max": 1}}}, "scenario some: policy: spec.workers"),
        ({"start": {"pools": {"postgres": "many"}}}, "start.pools.postgres: 'many' is not a whole number: write one"),
        ({"start": {"workers": 2.5}}, "start.workers: 2.5 is not a whole number: write one such as 5"),
        ({"start": {"workers": 0}}, "start.workers: Input should be greater than or equal to 1"),
        ({"start": {"caches": {"a": "soon"}}}, "start.caches.a: 'soon' is not a duration such as"),
        ({"start": {"caches": {"a": {"seconds": 5}}}}, "start.caches.a: None is not a duration such as"),
        ({"start": {"worker": 2}}, "start.worker: there is no such field"),
        ({"fleet": {"memoryLimit": "lots"}}, "fleet.memoryLimit: 'lots' is not a number of bytes: write one such as"),
        ({"fleet": {"memoryLimit": "2GB"}}, "fleet.memoryLimit: '2GB' is not a number of bytes: write one such as"),
        (["name"], "the file: "),
    ],
)
def test_a_mistake_is_named(parts: Any, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_scenario({"name": "some", **parts} if isinstance(parts, dict) else parts)
    assert str(raised.value).startswith(said)


def test_memory_limits_the_workers() -> None:
    small = scenario(fleet={"memoryLimit": "512Mi", "memoryBase": "100Mi", "memoryPerWorker": "60Mi"})
    assert most_workers(small) == 6


def test_the_worked_example_of_misses() -> None:
    service = scenario(service={"cacheableShare": 1.0}).service
    found = [miss_ratio(service, 2600, ttl) for ttl in (0, 5, 30, 300)]
    assert found == pytest.approx([1.0, 0.34, 0.15, 0.02], abs=0.01)


def test_a_second_is_as_bursty_as_asked_and_the_mean_stays() -> None:
    rates = seconds_of_load(1000.0, 1.5, 20_000, seed=3)
    arrivals = np.random.default_rng(1).poisson(rates)
    assert arrivals.mean() == pytest.approx(1000, rel=0.01)
    assert np.percentile(arrivals, 99) / arrivals.mean() == pytest.approx(1.5, abs=0.1)
    assert seconds_of_load(100.0, 1.2, 5, seed=3).std() == 0, "Poisson arrivals are burstier than that by themselves"
