"""What must hold at every instant, whatever the signals say: bounds, memory, connection budgets."""

from collections.abc import Iterator, Mapping
from math import floor, inf

from paceline_operator.core.laws.contention import most_connections
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable, Values
from paceline_operator.core.situation.situation import Situation


def most_workers(situation: Situation) -> float:
    """What the policy, the pods' memory, a ceiling, and connections that nobody limits leave room for."""
    spec, now = situation.policy.tunables.get(WORKERS), situation.values.get(WORKERS, 1.0)
    if spec is None or spec.bounds is None:
        return now
    limits = [spec.bounds.maximum]
    if situation.observation and situation.observation.most_workers is not None:
        limits.append(max(situation.observation.most_workers, 1.0))
    limits.append(useful_workers(situation))
    ceiling = situation.memory.ceiling
    if ceiling is not None and ceiling.template == situation.fleet.template:
        limits.append(ceiling.workers - 1)
    if situation.fleet.unregistered or WORKERS in situation.fleet.clamped:
        limits.append(now)
    return max(spec.bounds.minimum, min(limits))


def useful_workers(situation: Situation) -> float:
    """A worker for each core of the node that a pod may run on: more would share them. No limit where no pod says.

    The CPU limit is another matter: workers may spend it side by side, on as many cores as there are.
    """
    cores = situation.observation.cores if situation.observation else None
    return float(cores) if cores else inf


def pool_limit(situation: Situation, spec: TunableSpec, workers: float) -> float:
    """The most that the bounds, the constructor, an unreadable budget, and a database that has drowned leave to a pool
    at so many workers."""
    now, maximum = situation.values.get(spec.tunable), spec.bounds.maximum if spec.bounds else None
    if maximum is None or now is None:
        return spec.pinned or now or 0.0
    limits = [maximum]
    seen = situation.observation.pools.get(spec.tunable.name) if situation.observation else None
    if seen is not None:
        limits.append(max(float(seen.cap), 1.0))
    if spec.tunable in situation.fleet.clamped:
        limits.append(now)
    if spec.budget is not None and spec.budget not in situation.budgets:
        limits.append(floor(now * situation.values.get(WORKERS, 1) / workers))
    borne = most_connections(situation, spec.tunable.name)
    if borne is not None:
        limits.append(floor(borne / (max(1, situation.fleet.total) * workers)))
    return min(limits)


def connections_per_worker(situation: Situation, budget: str, workers: float) -> int:
    """What the pools of a budget may hold together in one worker: ⌊connections / (worst-case pods · workers)⌋.

    Worked example: 190 connections, 10 pods, 4 workers → 4.
    """
    found = situation.budgets[budget]
    return floor(found.connections / (max(1, found.pods) * workers))


def budgeted(situation: Situation) -> Iterator[tuple[str, tuple[TunableSpec, ...]]]:
    """Each budget that can be read, with the pools that draw from it and whose size is known."""
    for name in sorted(situation.budgets):
        specs = tuple(
            spec
            for spec in situation.policy.tunables.values()
            if spec.tunable.kind is Kind.POOL and spec.budget == name and spec.tunable in situation.values
        )
        if specs:
            yield name, specs


def within_budgets(situation: Situation, values: Values) -> bool:
    """Whether the worst case of all pods keeps every budget."""
    workers = values.get(WORKERS, 1.0)
    return all(
        sum(values[spec.tunable] for spec in specs) <= connections_per_worker(situation, name, workers)
        for name, specs in budgeted(situation)
    )


def fitted(situation: Situation, wanted: Mapping[Tunable, float], workers: float) -> Mapping[Tunable, float] | None:
    """The wanted sizes cut to what the budgets allow, in proportion, none below its minimum; None where even the
    minimums are too many."""
    sizes = dict(wanted)
    for name, specs in budgeted(situation):
        movable = [spec for spec in specs if spec.bounds is not None and spec.tunable in sizes]
        fixed = sum(situation.values[spec.tunable] for spec in specs if spec not in movable)
        room = connections_per_worker(situation, name, workers) - fixed
        if sum(spec.bounds.minimum for spec in movable if spec.bounds) > room:
            return None
        while sum(sizes[spec.tunable] for spec in movable) > room:
            largest = max(movable, key=lambda spec: (sizes[spec.tunable] - _minimum(spec), str(spec.tunable)))
            sizes[largest.tunable] -= 1
    return sizes


def _minimum(spec: TunableSpec) -> float:
    return spec.bounds.minimum if spec.bounds else 0.0
