"""A run, told in figures: regret against the exhaustive grid, how fast, how calmly, how safely."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from typing import Any, Final

from paceline_operator.core.model.decision import Change, Reason, growing
from paceline_operator.core.model.tunables import WORKERS, Tunable, Values
from paceline_operator.core.model.values import change_to_wire, tunable_to_wire, values_to_wire
from paceline_operator.simulation.conditions import Conditions, conditions_at
from paceline_operator.simulation.objective import Judge, mean_objective
from paceline_operator.simulation.run import Step
from paceline_operator.simulation.scenario import Scenario

LAST: Final = 12
"""Intervals at the end of which the most frequent setting is the final one."""
LATE: Final = 20
CLOSE: Final = 1.10
MOST: Final = 0.8
DEMANDED: Final = frozenset(
    {Reason.PINNED_BY_SPEC, Reason.CLAMPED, Reason.BUDGET_EXHAUSTED, Reason.ROLLED_BACK, Reason.EXTERNAL_CHANGE}
)


def tell(judge: Judge, steps: Sequence[Step], *, seed: int, controller: str) -> dict[str, Any]:
    """The result of one run, as `simulate --json` prints it (docs/tuning.md names the fields)."""
    whole = [step for step in steps if step.seconds is None]
    last = whole[-LAST:]
    shares = Counter(step.conditions for step in last)
    final = _most_frequent(last)
    best_shares = Counter(measured_by(judge, step) for step in last)
    optimum = best_of(judge, best_shares)
    ratios = regrets(judge, steps)
    final_j, optimum_j = mean_objective(judge, shares, final), mean_objective(judge, best_shares, optimum)
    return {
        "scenario": judge.scenario.name,
        "seed": seed,
        "controller": controller,
        "optimum": {"values": values_to_wire(optimum), "objective": round(optimum_j, 4)},
        "final": {"values": values_to_wire(final), "objective": round(final_j, 4)},
        "regret": round(final_j / optimum_j, 4),
        "regretCumulative": round(sum(ratios) / len(ratios), 4),
        "t10": reached(ratios),
        "objectiveViolations": violations(judge, steps),
        "growthsWhileMet": growths_while_met(judge, steps),
        "reversalsPer100": round(100 * reversals(steps) / len(whole), 2),
        "changes": sum(step.changed for step in steps),
        "changesLast20": sum(step.changed for step in steps if step.interval > whole[-1].interval - LATE),
        "unsafeTrials": sum(step.unsafe for step in steps),
        "restarts": processes_moved(steps),
        "spent": spent(judge, steps),
        "decisions": [_decision(parts, after) for parts, after in pairwise((*_by_interval(steps), ()))],
    }


def regrets(judge: Judge, steps: Sequence[Step]) -> list[float]:
    """J of each interval's values over J of the best, on fresh seeds under the interval's conditions; values that were
    in force for some seconds of an interval count for their share of it."""
    return [sum(_share(judge, step, parts) * _ratio(judge, step) for step in parts) for parts in _by_interval(steps)]


def _ratio(judge: Judge, step: Step) -> float:
    least = _least(judge, measured_by(judge, step))
    if step.seconds is None:
        return judge.objective(step.conditions, step.values) / least
    return judge.briefly(step.conditions, step.values, step.seconds) / least


def _share(judge: Judge, step: Step, parts: Sequence[Step]) -> float:
    """Of the interval, in which the values of a step were in force."""
    if step.seconds is not None:
        return step.seconds / judge.scenario.interval
    return 1 - sum(part.seconds or 0.0 for part in parts) / judge.scenario.interval


def _by_interval(steps: Sequence[Step]) -> list[tuple[Step, ...]]:
    return [tuple(parts) for _, parts in groupby(steps, key=lambda step: step.interval)]


def measured_by(judge: Judge, step: Step) -> Conditions:
    """The conditions whose best setting counts. An autoscaler that the scenario does not have is no excuse: the pods
    that it adds do not count."""
    if judge.scenario.hpa is not None:
        return step.conditions
    own = conditions_at(judge.scenario, step.interval, judge.scenario.fleet.replicas)
    return replace(step.conditions, replicas=min(step.conditions.replicas, own.replicas))


def _least(judge: Judge, conditions: Conditions) -> float:
    return judge.objective(conditions, judge.best(conditions))


def best_of(judge: Judge, shares: Mapping[Conditions, int]) -> Values:
    """The best single setting over conditions, of those that are best under one of them."""
    candidates = [judge.best(conditions) for conditions in shares]
    return min(candidates, key=lambda values: mean_objective(judge, shares, values))


def reached(ratios: Sequence[float]) -> int | None:
    """The first interval from which on 80 % of the intervals are within 10 % of the best; None if never."""
    for start in range(len(ratios)):
        rest = ratios[start:]
        if rest[0] <= CLOSE and sum(ratio <= CLOSE for ratio in rest) >= MOST * len(rest):
            return start
    return None


def violations(judge: Judge, steps: Sequence[Step]) -> int:
    """Intervals whose p95 was above the objective, for some seconds at least."""
    assert judge.policy.objective is not None  # the scenario gives one
    limit = judge.policy.objective.limit.total_seconds()
    return len({step.interval for step in steps if judge.p95(step.conditions, step.values) > limit})


def growths_while_met(judge: Judge, steps: Sequence[Step]) -> int:
    """Changes that asked for more of anything after an interval in which the objective was truly met with room; what
    the policy demands, and the way back to what ran before, do not count."""
    asked = [step for step in steps if growing(step.values, step.choice.values) and step.choice.reason not in DEMANDED]
    return sum(judge.met_with_room(step.conditions, step.values) for step in asked)


def spent(judge: Judge, steps: Sequence[Step]) -> dict[str, float]:
    """What the run took on average, in a pod: workers, connections of the pool, bytes of memory."""
    fleet, pool, intervals = judge.scenario.fleet, judge.tuned.pool, _by_interval(steps)
    shares = [(_share(judge, step, parts) / len(intervals), step.values) for parts in intervals for step in parts]
    workers = sum(share * values.get(WORKERS, 1) for share, values in shares)
    connections = sum(share * values.get(WORKERS, 1) * values[pool] for share, values in shares) if pool else 0.0
    return {
        "workers": round(workers, 3),
        "connections": round(connections, 3),
        "memoryBytes": round(fleet.memoryBase + workers * fleet.memoryPerWorker),
    }


def reversals(steps: Sequence[Step]) -> int:
    """How often a tunable moved one way and next the other, after the first tenth of the run; probes taken back
    are not counted."""
    found = 0
    intervals = _by_interval(steps)
    later = [step for parts in intervals[len(intervals) // 10 :] for step in parts]
    for tunable in steps[0].values:
        moves = _moves(tunable, later)
        found += sum(first != second for first, second in pairwise(moves))
    return found


def _moves(tunable: Tunable, steps: Sequence[Step]) -> list[bool]:
    pairs = [
        (step.values[tunable], after.values[tunable])
        for step, after in pairwise(steps)
        if step.values[tunable] != after.values[tunable] and not step.choice.probe
    ]
    return [after > before for before, after in pairs]


def processes_moved(steps: Sequence[Step]) -> int:
    """Worker processes started or ended, over all pods."""
    return sum(
        round(abs(after.values.get(WORKERS, 1) - step.values.get(WORKERS, 1)) * step.conditions.replicas)
        for step, after in pairwise(steps)
    )


def _most_frequent(steps: Sequence[Step]) -> Values:
    counts = Counter(tuple(sorted(step.values.items())) for step in steps)
    return dict(counts.most_common(1)[0][0])


def _decision(parts: Sequence[Step], following: Sequence[Step]) -> dict[str, Any]:
    """All that was changed in an interval, those of its short windows included, for the reason of its last change."""
    before, end = parts[0].values, parts[-1]
    after = following[0].values if following else end.choice.values
    changes = [
        change_to_wire(Change(tunable, before.get(tunable), value))
        for tunable, value in sorted(after.items())
        if before.get(tunable) != value
    ]
    reason = next((step.choice.reason for step in reversed(parts) if step.changed), end.choice.reason)
    p95 = None if end.choice.p95 is None else round(end.choice.p95, 6)
    return {"interval": end.interval, "changes": changes, "reason": reason, "p95": p95}


def values_by_interval(scenario: Scenario, result: Mapping[str, Any]) -> list[dict[str, float]]:
    """The values in force in each interval of a result, by the tunable's name on the wire."""
    running = {tunable_to_wire(tunable): value for tunable, value in scenario.start_values().items()}
    found = []
    for decision in result["decisions"]:
        found.append(dict(running))
        running |= {change["tunable"]: change["new"] for change in decision["changes"]}
    return found
