"""When nothing is wrong: now and then a neighbour of the setting in force is tried, since models are never quite right.

With `prefer: latency` one that may be faster; with `prefer: cost` one that is cheaper, where the model doubts that it
has the room, but not that it meets the objective now. A probe that gains nothing, or has no room, is taken back, and
doubles the gap to the next one.
"""

from collections.abc import Iterator
from dataclasses import replace
from math import floor
from typing import Final

from paceline_operator.core.choice.candidates import Candidate, judged, named_pools, needed
from paceline_operator.core.choice.choose import least_gain
from paceline_operator.core.choice.cost import MARGIN, Bar, cost, too_little
from paceline_operator.core.laws.constraints import fitted, most_workers, pool_limit, within_budgets
from paceline_operator.core.laws.contention import endangers
from paceline_operator.core.laws.diagnose import Finding
from paceline_operator.core.laws.recommend import Proposal
from paceline_operator.core.model.decision import Reason, differences, growing
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import WORKERS, Kind, Values, with_workers
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.memory import Memory, Probing
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.rollback import gap

NO_WORSE: Final = 1.03
"""What is predicted to be slower than this times what is measured is not tried."""


def probe(situation: Situation, model: Model, objective: Objective) -> Proposal | None:
    """A neighbour worth trying, if it is time and the objective is met."""
    observation, current = situation.observation, judged(situation, model, situation.values)
    after = situation.memory.probing.after
    if observation is None or current is None:
        return None
    if not situation.fleet.may_shrink(situation.fleet.reporting):
        return None  # a probe is taken back more often than not, and pods that are silent must not lose anything
    if (
        after is None
        or situation.now < after
        or (observation.response_seconds or 0.0) > objective.limit.total_seconds()
    ):
        return None
    untried = [c for c in _neighbours(situation, model, objective) if not c.measured]
    find = _cheaper if objective.prefer is Prefer.COST else _faster
    best = find(situation, Bar.of(situation, model, objective), untried, current)
    if best is None:
        return None
    changes = differences(situation.values, best.values)
    evidence = f"{observation.figure.told(current.p95_seconds)}, within the objective; a neighbour is tried"
    severity = 1 + 2 * situation.policy.behavior.tolerance
    return Proposal(Finding(Reason.PROBE, changes[0].tunable, severity, evidence), changes, predicted=True)


def _faster(situation: Situation, bar: Bar, untried: list[Candidate], current: Candidate) -> Candidate | None:
    hopeful = [candidate for candidate in untried if candidate.p95_seconds <= NO_WORSE * current.p95_seconds]
    return min(hopeful, key=lambda candidate: candidate.p95_seconds, default=None)


def _cheaper(situation: Situation, bar: Bar, untried: list[Candidate], current: Candidate) -> Candidate | None:
    """The cheapest that takes no more of anything, and is sure to do now, if the objective is met with room."""
    windows = situation.policy.behavior.stabilization_windows
    if not situation.enough or len(situation.memory.wanted) < windows:
        return None
    most = (1 - least_gain(situation)) * cost(situation, current.values)
    hopeful = [
        candidate
        for candidate in untried
        if candidate.p95_seconds <= MARGIN * bar.seconds
        and cost(situation, candidate.values) <= most
        and not growing(situation.values, candidate.values)
        and not too_little(situation, candidate.values)
    ]
    return min(hopeful, key=lambda candidate: cost(situation, candidate.values), default=None)


def scheduled(situation: Situation, memory: Memory) -> Memory:
    """The memory with a time for the first probe, if none was set."""
    if memory.probing.after is not None:
        return memory
    return replace(memory, probing=Probing(0, situation.now + gap(situation, 0)))


def _neighbours(situation: Situation, model: Model, objective: Objective) -> Iterator[Candidate]:
    for values in _near(situation, model, objective):
        if values != situation.values and within_budgets(situation, values) and not endangers(situation, values):
            candidate = judged(situation, model, values)
            if candidate is not None:
                yield candidate


def _near(situation: Situation, model: Model, objective: Objective) -> Iterator[Values]:
    now = situation.values
    workers, spec = now.get(WORKERS, 1.0), situation.policy.tunables.get(WORKERS)
    if spec is not None and spec.bounds is not None:
        if workers + 1 <= most_workers(situation):
            yield _resized(situation, model, objective, workers + 1)
        if workers - 1 >= spec.bounds.minimum:
            yield _resized(situation, model, objective, workers - 1)
    for tunable, pool_spec in situation.policy.tunables.items():
        if tunable.kind is not Kind.POOL or pool_spec.bounds is None or tunable not in now:
            continue
        if now[tunable] + 1 <= pool_limit(situation, pool_spec, workers):
            yield {**now, tunable: now[tunable] + 1}
        if objective.prefer is Prefer.COST and now[tunable] - 1 >= pool_spec.bounds.minimum:
            yield {**now, tunable: now[tunable] - 1}


def _resized(situation: Situation, model: Model, objective: Objective, workers: float) -> Values:
    """The pools as they are; with fewer workers as large as they are needed then. No more in all where cost counts."""
    values = dict(with_workers(situation.values, workers))
    for tunable, spec in situation.policy.tunables.items():
        if tunable.kind is Kind.POOL and spec.bounds is not None and tunable.name in named_pools(values):
            size = needed(situation, model, objective, tunable.name, workers) if tunable.name in model.pools else None
            limit = max(spec.bounds.minimum, pool_limit(situation, spec, workers))
            if objective.prefer is Prefer.COST:
                limit = min(limit, floor(values[tunable] * situation.values.get(WORKERS, 1.0) / workers))
            values[tunable] = min(max(values[tunable], size or 0.0), limit)
    pools = {tunable: size for tunable, size in values.items() if tunable.kind is Kind.POOL}
    return {**values, **(fitted(situation, pools, workers) or {})}
