"""Whole scenarios: every seed of one under one controller, several scenarios side by side."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, Final

from paceline_operator.core.values import values_to_wire
from paceline_operator.simulation.baselines import CONTROLLERS
from paceline_operator.simulation.conditions import conditions_at
from paceline_operator.simulation.objective import Judge
from paceline_operator.simulation.physics import tuned_of
from paceline_operator.simulation.result import tell
from paceline_operator.simulation.run import Run
from paceline_operator.simulation.scenario import HpaPart, Scenario

HPA_FACTOR: Final = 2
"""Where a scenario has no autoscaler, the controller `hpa` gets one between half and twice the replicas."""


Plan = Mapping[str, Sequence[int]]
"""The seeds of each controller."""


def simulate_scenario(scenario: Scenario, plan: Plan) -> list[dict[str, Any]]:
    """The results of all controllers and seeds."""
    return list(played(scenario, plan))


def played(scenario: Scenario, plan: Plan) -> Iterator[dict[str, Any]]:
    """The same, one after the other; the grid that they are judged by is played once."""
    policy, start = scenario.parsed_policy(), scenario.start_values()
    tuned = tuned_of(start, dict.fromkeys(policy.tunables, 0.0))
    judge = Judge(scenario, policy, tuned, start)
    for controller, seeds in plan.items():
        scene = _with_autoscaler(scenario) if controller == "hpa" else scenario
        for seed in seeds:
            make, _ = CONTROLLERS[controller]
            run = Run(scene, judge, make(judge, start, seed), seed, start, scenario.fleet.replicas)
            yield tell(judge, run.play(), seed=seed, controller=controller)


def from_the_best(scenario: Scenario, seeds: Sequence[int], intervals: int) -> list[dict[str, Any]]:
    """The results of runs that begin with the best setting there is: whatever is changed then is restlessness."""
    start, policy = scenario.start_values(), scenario.parsed_policy()
    judge = Judge(scenario, policy, tuned_of(start, dict.fromkeys(policy.tunables, 0.0)), start)
    best = values_to_wire(judge.best(conditions_at(scenario, 0, scenario.fleet.replicas)))
    caches = {name: cache["ttlSeconds"] for name, cache in best["caches"].items()}
    start_wire = {"workers": best["workers"], "pools": best["pools"], "caches": caches}
    update = {"name": f"{scenario.name} from the best", "start": start_wire, "intervals": intervals}
    return simulate_scenario(scenario.model_copy(update=update), {"paceline": seeds})


def simulate_all(
    scenarios: Sequence[Scenario], plan: Plan, progress: Callable[[str], None] = lambda name: None
) -> Iterator[dict[str, Any]]:
    """The results of all scenarios: of one, as each run is done; of several, as each scenario is, on all cores."""
    workers = min(len(scenarios), os.cpu_count() or 1)
    if workers <= 1:
        for scenario in scenarios:
            yield from played(scenario, plan)
            progress(scenario.name)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        pending = {pool.submit(simulate_scenario, scenario, plan): scenario for scenario in scenarios}
        for done in as_completed(pending):
            yield from done.result()
            progress(pending[done].name)


def _with_autoscaler(scenario: Scenario) -> Scenario:
    replicas = scenario.fleet.replicas
    hpa = scenario.hpa or HpaPart(min=max(1, replicas // HPA_FACTOR), max=HPA_FACTOR * replicas)
    return scenario.model_copy(update={"hpa": hpa})
