"""All settings measured one after the other on one pod, and the same grid in the simulator."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import correlation, mean, median
from time import monotonic
from typing import Final

import numpy as np
import uvloop
from paceline.load.openloop import OpenLoop, Plan
from paceline.load.results import Summary
from paceline_operator.core.model.tunables import WORKERS, pool
from paceline_operator.simulation.conditions import conditions_at
from paceline_operator.simulation.physics import Length, simulate, tuned_of
from paceline_operator.simulation.scenario import Scenario, parse_scenario

from tests.benchmarks.live.service import (
    CPU_CV,
    CPU_SECONDS,
    POLICY,
    QUERY_CV,
    QUERY_SECONDS,
    RATE,
    LivePod,
    Setting,
)
from tests.benchmarks.servers import Cores

GRID: Final = tuple(Setting(workers, size) for workers in (1, 2, 4) for size in (1, 2, 4, 8))
RELIEF: Final = Setting(2, 8)
"""What works off the queue that a hopeless setting leaves behind."""
WARM_SECONDS: Final = 0.5
SEEDS: Final = range(1, 4)
WHOLE: Final = Length(10**6)
CALM: Final = 0.2
"""More cores than this in other hands, and queues are others' doing."""


@dataclass(frozen=True)
class Point:
    """One measurement of a setting; `foreign` is what others used of the machine meanwhile, in cores."""

    p95_seconds: float
    foreign: float


def measured(
    pod: LivePod, settings: Sequence[Setting], seconds: float, seed: int, cores: Cores
) -> dict[Setting, Point]:
    """Each in turn, under the same arrivals."""
    found = {}
    for setting in settings:
        pod.set(setting)
        uvloop.run(_drive(pod.plan(WARM_SECONDS, seed)))
        began, foreign = monotonic(), cores.foreign_seconds()
        summary = uvloop.run(_relieved(pod, pod.plan(seconds, seed)))
        assert summary.total.p95 is not None
        others = max(0.0, cores.foreign_seconds() - foreign) / (monotonic() - began)
        found[setting] = Point(summary.total.p95, others)
        told = f"  {setting}: p95 {summary.total.p95 * 1e3:.1f} ms, others used {others:.2f} cores"
        print(told, file=sys.stderr, flush=True)
    return found


def warn_unless_calm(points: Sequence[Point]) -> None:
    """Says so where the figures are not worth much."""
    foreign = median(point.foreign for point in points)
    if foreign > CALM:
        print(f"live: others used {foreign:.1f} cores: measure again on a calm machine", file=sys.stderr)


async def _drive(plan: Plan) -> Summary:
    return await OpenLoop(plan).run()


async def _relieved(pod: LivePod, plan: Plan) -> Summary:
    """The whole plan; a queue that is left at its end is worked off with enough workers and connections."""
    running = asyncio.create_task(_drive(plan))
    assert plan.seconds is not None
    await asyncio.wait({running}, timeout=plan.seconds + 1.0)
    if not running.done():
        pod.tuned.write(RELIEF.values)
    return await running


def simulated(settings: Sequence[Setting], seconds: float) -> Mapping[Setting, float]:
    """p95 in seconds of each, from the simulator, with the service times that the service was given."""
    scenario = scenario_of(seconds)
    conditions = conditions_at(scenario, 0, 1)
    tuned = tuned_of({pool("postgres"): 1}, {})
    found = {}
    for setting in settings:
        values = {WORKERS: float(setting.workers), pool("postgres"): float(setting.connections)}
        runs = [simulate(scenario, conditions, tuned, values, seed=n, length=WHOLE) for n in SEEDS]
        found[setting] = mean(float(np.percentile(run.latencies, 95)) for run in runs)
    return found


def scenario_of(seconds: float) -> Scenario:
    """The benchmark as the simulator's file would have it: one pod on two cores."""
    return parse_scenario(
        {
            "name": "live",
            "interval": max(5.0, seconds),
            "fleet": {"replicas": 1, "cpuLimit": 2.0},
            "service": {"cpuPerRequest": CPU_SECONDS, "cpuCv": CPU_CV},
            "database": {"time": QUERY_SECONDS, "cv": QUERY_CV},
            "load": [{"from": 0, "requestsPerSecond": RATE}],
            "burstiness": 1.0,
            "policy": {name: part for name, part in POLICY.items() if name != "behavior"},
        }
    )


def spearman(one: Mapping[Setting, float], other: Mapping[Setting, float]) -> float:
    """Rank correlation of two grids, in [-1, 1]. Worked example: 1, 2, 3 against 1, 3, 2 is 0.5."""
    settings = sorted(one)
    return correlation(_ranks([one[s] for s in settings]), _ranks([other[s] for s in settings]))


def _ranks(values: Sequence[float]) -> list[float]:
    order = sorted(values)
    return [float(order.index(value)) for value in values]
