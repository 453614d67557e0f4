"""The laws: from what limits the service to the value that the signal alone asks for. Bounds come later.

| law | condition | step |
| --- | --- | --- |
| loop lag → workers | lag > 12 % of the objective | W+1; 2W when lag > 5 times that |
| pool wait → pool | p99 wait > 8 % of the objective, or > 2 ms with P < c* | max(P+1, min(c*, 2P)); 4P if exhausted |
| oversized → pool | P > 1.25 c* for 5 windows | ⌈1.25 c*⌉ |
"""

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from paceline_operator.core.laws.diagnose import (
    DOUBLE_ABOVE,
    SLACK,
    Finding,
    connections_needed,
    exhausted,
    exhausted_by_itself,
)
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Objective, TunableSpec
from paceline_operator.core.model.tunables import Kind
from paceline_operator.core.situation.situation import Situation

MOST_GROWTH: Final = 2.0
MOST_GROWTH_STARVED: Final = 4.0
"""Times its size that a pool may become in one step; the second where it is exhausted."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Changes that are on their way through the limits; the first is the lever, the rest come with it."""

    finding: Finding
    changes: tuple[Change, ...]
    predicted: bool = False
    """Chosen by the model, which knows the constraints and what has been tried."""
    promised: float | None = None
    """Share of p95 that the model says is gained by all of the changes."""

    @property
    def lever(self) -> Change:
        return self.changes[0]


def recommend(situation: Situation, finding: Finding) -> Proposal | None:
    """What the finding asks for, unbounded; None where no tunable could help, or its value is not known."""
    if finding.tunable is None or finding.tunable not in situation.values:
        return None
    old = situation.values[finding.tunable]
    return Proposal(finding, (Change(finding.tunable, old, _wanted(situation, finding, old)),))


def _wanted(situation: Situation, finding: Finding, old: float) -> float:
    if finding.reason is Reason.THROTTLING_HIGH:
        # More processes than cores only make each request dearer: down to the cores, two at a time.
        return max(1.0, old - 2)
    if finding.reason is Reason.LOOP_LAG_HIGH:
        return 2 * old if finding.severity > DOUBLE_ABOVE else old + 1
    assert finding.needed is not None  # pool findings say what is needed
    if finding.reason is Reason.POOL_OVERSIZED:
        # With room to spare, so that the pool does not have to grow again at once.
        return float(min(old - 1, ceil(SLACK * finding.needed)))
    return max(old + 1, min(finding.needed, _most_growth(situation, finding) * old))


def _most_growth(situation: Situation, finding: Finding) -> float:
    """An exhausted pool has seen fewer arrivals than there are, so that what they need is the least there is
    need for; only small pools need more than twice what they have.

    Worked example: one connection, always checked out, for 15 ms: 1.25 Erlang with bursts need 5; it becomes 4.
    """
    observation = situation.observation
    if observation is not None and exhausted_by_itself(situation, observation, finding.tunable):
        return MOST_GROWTH_STARVED
    return MOST_GROWTH


def carried_pools(
    situation: Situation, observation: Observation, objective: Objective, workers: Change
) -> tuple[Change, ...]:
    """The pools that move with the workers, so that the fleet's connections do not multiply with them.

    `P' = max(⌈P·W/W'⌉, min(P, c*(W')))`, never above P when workers are added; P where the pool was exhausted.
    Worked example: 2 → 4 workers with a pool of 5 of which each worker then needs 4: max(⌈10/4⌉, min(5, 4)) = 4.
    A pool with a budget keeps its total instead: ⌊P·W/W'⌋, at least its minimum.
    """
    specs = (spec for spec in situation.policy.tunables.values() if spec.tunable.kind is Kind.POOL and spec.bounds)
    moved = (_carried(situation, observation, objective, workers, spec) for spec in specs)
    return tuple(change for change in moved if change is not None)


def _carried(
    situation: Situation, observation: Observation, objective: Objective, workers: Change, spec: TunableSpec
) -> Change | None:
    size, seen = situation.values.get(spec.tunable), observation.pools.get(spec.tunable.name)
    if size is None or workers.old is None:
        return None
    total = size * workers.old
    if seen is not None and workers.new > workers.old and exhausted(seen, size):
        new = size
    elif spec.budget is not None:
        new = float(floor(total / workers.new))
    else:
        needed = connections_needed(seen, objective, workers.old / workers.new) if seen else None
        new = max(ceil(total / workers.new), min(size, size if needed is None else needed))
    new = min(size, spec.allowed(max(1, new)))
    return Change(spec.tunable, size, new) if new != size else None
