"""Whole scenarios: every seed of one under one controller, several scenarios side by side."""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from typing import Any, Final

from paceline_operator.simulation.baselines import CONTROLLERS
from paceline_operator.simulation.conditions import conditions_at
from paceline_operator.simulation.objective import Judge, judge_of
from paceline_operator.simulation.result import tell
from paceline_operator.simulation.run import Run
from paceline_operator.simulation.scenario import HpaPart, Scenario

HPA_FACTOR: Final = 2
"""Where a scenario has no autoscaler, the controller `hpa` gets one between half and twice the replicas."""


Plan = Mapping[str, Sequence[int]]
"""The seeds of each controller."""
Results = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Finished:
    """All results of a scenario, and the seconds that they took."""

    scenario: str
    seconds: float
    results: Results


def simulate_scenario(scenario: Scenario, plan: Plan) -> Results:
    """The results of all controllers and seeds."""
    return list(played(judge_of(scenario), plan))


def played(judge: Judge, plan: Plan) -> Iterator[dict[str, Any]]:
    """The same, one after the other; the grid that they are judged by is played once."""
    scenario, start = judge.scenario, judge.start
    for controller, seeds in plan.items():
        scene = _with_autoscaler(scenario) if controller == "hpa" else scenario
        for seed in seeds:
            make, _ = CONTROLLERS[controller]
            run = Run(scene, judge, make(judge, start, seed), seed, start, scenario.fleet.replicas)
            yield tell(judge, run.play(), seed=seed, controller=controller)


def from_the_best(judge: Judge, seeds: Sequence[int], intervals: int) -> Results:
    """The results of runs that begin with the best setting there is: whatever is changed then is needless."""
    scenario = judge.scenario
    best = judge.best(conditions_at(scenario, 0, scenario.fleet.replicas))
    update = {"name": f"{scenario.name} from the best", "intervals": intervals}
    return list(played(replace(judge, scenario=scenario.model_copy(update=update), start=best), {"paceline": seeds}))


def simulate_all(scenarios: Sequence[Scenario], plan: Plan) -> Iterator[dict[str, Any]]:
    """The results of all scenarios: of one, as each run is done; of several, as each scenario is, on all cores."""
    if len(scenarios) == 1:
        yield from played(judge_of(scenarios[0]), plan)
        return
    for finished in side_by_side(scenarios, partial(simulate_scenario, plan=plan)):
        yield from finished.results


def side_by_side(scenarios: Sequence[Scenario], work: Callable[[Scenario], Results]) -> Iterator[Finished]:
    """What `work`, which must pickle, makes of each scenario, as each is done: a core each, the longest ones first."""
    longest_first = sorted(scenarios, key=settings_to_judge, reverse=True)
    workers = max(1, min(len(scenarios), os.cpu_count() or 1))
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = [pool.submit(_timed, work, scenario) for scenario in longest_first]
        try:
            for done in as_completed(pending):
                yield done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def settings_to_judge(scenario: Scenario) -> int:
    """How large the grid is, over all that the fleet meets: what a scenario takes long for."""
    judge = judge_of(scenario)
    met = {conditions_at(scenario, interval, scenario.fleet.replicas) for interval in range(scenario.intervals)}
    return sum(sum(1 for _ in judge.candidates(conditions)) for conditions in met)


def _timed(work: Callable[[Scenario], Results], scenario: Scenario) -> Finished:
    began = time.monotonic()
    results = work(scenario)
    return Finished(scenario.name, time.monotonic() - began, results)


def _with_autoscaler(scenario: Scenario) -> Scenario:
    replicas = scenario.fleet.replicas
    hpa = scenario.hpa or HpaPart(min=max(1, replicas // HPA_FACTOR), max=HPA_FACTOR * replicas)
    return scenario.model_copy(update={"hpa": hpa})
