"""With `prefer: latency`, speed beyond the objective is bought a step at a time, and only where it is seen.

A step that takes more workers, connections or staleness while the objective is met stays if p95 fell by a tenth or
more; else what it took is given back.

| p95 before | after | verdict |
| --- | --- | --- |
| 24 ms, objective 45 ms | 20 ms | kept: −17 % |
| 24 ms, objective 45 ms | 22.5 ms | given back: −6 % |
| 50 ms, objective 45 ms | 48 ms | not asked: the objective was missed |
"""

from typing import Final

from paceline_operator.core.model.decision import Change, apply_changes, growing
from paceline_operator.core.model.policy import Prefer
from paceline_operator.core.situation.memory import Measured, Pending
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.compare import described

LEAST_STEP: Final = 0.10
"""The share of p95 that each step must gain."""


def not_worth(situation: Situation, pending: Pending, measured: Measured) -> str:
    """Says how little a step gained that was taken for speed alone; empty where it gained enough, or was needed."""
    objective, baseline = situation.policy.objective, pending.baseline
    if objective is None or objective.prefer is not Prefer.LATENCY:
        return ""
    if baseline.p95_seconds > objective.limit.total_seconds() or not _took_more(situation, pending):
        return ""
    gain = 1 - measured.p95_seconds / max(baseline.p95_seconds, 1e-6)
    if gain >= LEAST_STEP:
        return ""
    return f"{described(baseline, measured)}, and a step must gain {LEAST_STEP:.0%}"


def _took_more(situation: Situation, pending: Pending) -> bool:
    back = tuple(Change(change.tunable, change.new, change.old) for change in pending.changes if change.old is not None)
    return bool(growing(apply_changes(situation.values, back), situation.values))
