"""What is none of the tuner's doing: neighbours, deploys, restarts, broken pods, crowded databases, odd weeks.

Played without the exhaustive grid, so that each takes seconds; what was true is asked of the simulator.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from paceline_operator.core.model.decision import growing
from paceline_operator.core.model.tunables import WORKERS, Values, pool
from paceline_operator.simulation.controllers import Paceline
from paceline_operator.simulation.objective import Judge, judge_of
from paceline_operator.simulation.result import growths_while_met
from paceline_operator.simulation.run import Run, Step
from paceline_operator.simulation.scenario import load_scenario, parse_scenario

SCENARIOS = Path(__file__).parent / "scenarios"
POSTGRES = pool("postgres")
TAKEN_BACK = {"RolledBack", "OutOfMemory"}


@dataclass(frozen=True)
class Told:
    """A run without its regret."""

    judge: Judge
    steps: list[Step]

    @property
    def reasons(self) -> list[str]:
        return [step.choice.reason for step in self.steps if step.changed]

    @property
    def final(self) -> Values:
        return self.steps[-1].values

    @property
    def unsafe(self) -> int:
        return sum(step.unsafe for step in self.steps)

    def p95(self, step: Step) -> float:
        """The true one, over the objective."""
        assert self.judge.policy.objective is not None
        return self.judge.p95(step.conditions, step.values) / self.judge.policy.objective.limit.total_seconds()


def told(name: str | dict[str, Any], seed: int = 1) -> Told:
    scenario = parse_scenario(name) if isinstance(name, dict) else load_scenario(SCENARIOS / f"{name}.yaml")
    judge = judge_of(scenario)
    run = Run(scenario, judge, Paceline(scenario, judge.policy), seed, judge.start, scenario.fleet.replicas)
    found = Told(judge, run.play())
    assert found.unsafe == 0
    assert growths_while_met(judge, found.steps) == 0
    return found


def test_no_worker_is_kept_against_a_neighbour() -> None:
    found = told("noisy-neighbour")

    noisy = [step for step in found.steps if step.interval >= 3]
    assert all(found.p95(step) > 1 for step in noisy[-3:]), "it is the neighbour, and it stays"
    assert found.final[WORKERS] == noisy[0].values[WORKERS]
    assert sum(step.changed and step.choice.values[WORKERS] > step.values[WORKERS] for step in noisy) <= 1


def test_without_a_limit_there_is_a_worker_a_core_at_most() -> None:
    found = told("no-cpu-limit")

    assert max(step.values[WORKERS] for step in found.steps) == 2
    assert found.p95(found.steps[-1]) <= 1


def test_a_deploy_is_not_blamed_on_the_change_that_it_met() -> None:
    found = told("deploy-slower")

    assert found.steps[0].changed, "a change waits for its verdict when the new pods come"
    assert not TAKEN_BACK & set(found.reasons)
    assert found.p95(found.steps[8]) <= 1, "with the slower release"
    assert found.p95(found.steps[-1]) <= 1


def test_a_restart_that_is_not_ours_takes_nothing_back() -> None:
    found = told("restarts-elsewhere")

    assert found.reasons
    assert not TAKEN_BACK & set(found.reasons)
    assert found.p95(found.steps[-1]) <= 1


def test_one_broken_pod_of_ten_stops_nothing() -> None:
    found = told("broken-pod")

    assert found.steps[0].changed
    assert found.p95(found.steps[5]) <= 1


def test_nothing_grows_for_good_because_of_a_cold_cache() -> None:
    found = told("cold-cache")

    assert found.p95(found.steps[-1]) <= 1
    assert not growing(found.steps[4].values, found.final)
    assert not TAKEN_BACK & set(found.reasons)


def test_a_weekend_is_followed_and_monday_is_served() -> None:
    found = told("weekly")

    working = [step for step in found.steps if step.seconds is None and step.interval >= 4]
    assert sum(found.p95(step) > 1 for step in working) <= 1


def test_many_small_pools_become_one_in_a_step_while_the_database_is_slow() -> None:
    found = told("consolidation")

    assert found.steps[0].choice.values == {WORKERS: 1, POSTGRES: 4}
    assert found.final[WORKERS] == 1
    well = [step for step in found.steps if step.seconds is None and step.interval >= 8]
    assert sum((step.choice.p95 or 0.0) <= 0.1 for step in well) > len(well) / 2, "it missed the objective for good"


@pytest.mark.parametrize(("load", "factor", "small"), [(800, 3, 2), (800, 8, 2), (200, 8, 1)])
def test_a_pool_that_was_made_small_is_no_trap_when_the_database_becomes_slow(
    load: int, factor: int, small: int
) -> None:
    """Nine connections become a few while queries take 3 ms; then they take so many times as long."""
    found = told(
        {
            "name": "small-pool-slow-database",
            "intervals": 16,
            "fleet": {"replicas": 4, "cpuLimit": 2.0},
            "service": {"cpuPerRequest": "1ms"},
            "database": {"time": "3ms", "maxConnections": 200},
            "load": [{"from": 0, "requestsPerSecond": load}],
            "faults": [{"from": 8, "kind": "slow-database", "factor": factor}],
            "policy": {
                "objective": {"p95": "100ms"},
                "workers": {"min": 1, "max": 8},
                "pools": [{"name": "postgres", "min": 1, "max": 20, "budgetRef": {"name": "main"}}],
            },
            "start": {"workers": 1, "pools": {"postgres": 9}},
        }
    )

    before = [step for step in found.steps if step.interval < 8]
    assert before[-1].values[POSTGRES] == small
    slow = [step for step in found.steps if step.interval >= 11]
    assert all(found.p95(step) <= 1 for step in slow)
    assert found.final[POSTGRES] <= 9
