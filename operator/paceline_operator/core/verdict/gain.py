"""Did a change gain what it was made for?

| change | kept where |
| --- | --- |
| something grew, the objective was missed | it is surely met now, or half of the promised gain is seen |
| something grew, the objective was met | half of the promised gain is seen |
| something grew without a promise: queues were full | p95 may have fallen by 5 %, or 5 % more was served |
| something was given back, the objective was met | it is still met; where chance leaves it open, p95 is not slower |
| anything else | p95 is not slower (`core/verdict/compare.py`) |

Where chance leaves it open, one more window is waited for; then what was measured counts. Worked example: 2 → 4 workers
promised 80 ms → 48 ms, 40 %: with 20,000 requests a window 60 ms (25 %) is kept, 75 ms (6 %) goes back, and 64.5 ms
(19 %, somewhere between 15 and 23 %) needs another window.
"""

from enum import Enum
from typing import Final

from paceline_operator.core.model.decision import apply_changes, growing
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import Tunable, Values, Verdict
from paceline_operator.core.situation.memory import Measured, Pending
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.compare import described, ratio_interval, slower

HALF: Final = 0.5
"""Of the promised gain must be seen."""
LEAST_GAIN: Final = 0.05
"""Of what was grown without a promise."""


MUCH: Final = 1.25
"""What grew by less than this without a promise need only not be slower."""


class Gain(Enum):
    """What a window says of a change."""

    ENOUGH = "enough"
    TOO_LITTLE = "too little"
    UNCLEAR = "unclear"


def grown(judged: Values, pending: Pending) -> tuple[Tunable, ...]:
    """What a pod has more of since the change; `judged` are the values with it."""
    before = {change.tunable: change.old for change in pending.changes if change.old is not None}
    return growing({**judged, **before}, apply_changes(judged, pending.changes))


def gain(situation: Situation, pending: Pending, measured: Measured, judged: Values, *, last: bool) -> tuple[Gain, str]:
    """What is to be said of the change, and in words why it goes back; `last`: there is no other window to wait for."""
    grew = [tunable for tunable in grown(judged, pending) if tunable.descriptor.verdict is Verdict.MUST_GAIN]
    if grew and pending.promised is not None:
        return _promised(situation, pending, measured, pending.promised, last=last)
    if grew and _missed(situation, pending.baseline) and _by_much(pending):
        return _unpromised(pending, measured)
    objective = situation.policy.objective
    if grew or objective is None or objective.prefer is Prefer.LATENCY or _missed(situation, pending.baseline):
        return _not_slower(situation, pending, measured)
    return _given_back(situation, pending, measured, objective, last=last)


def seen_share(pending: Pending, measured: Measured) -> float:
    """The share of the promised gain that was seen; 0 where nothing was promised."""
    _, ratio, _ = ratio_interval(pending.baseline, measured)
    return (1 - ratio) / pending.promised if pending.promised else 0.0


def _promised(
    situation: Situation, pending: Pending, measured: Measured, promised: float, *, last: bool
) -> tuple[Gain, str]:
    objective = situation.policy.objective
    missed, met = _missed(situation, pending.baseline), False
    if objective is not None and missed:
        met = measured.p95_seconds <= objective.limit.total_seconds()
        if measured.high <= objective.limit.total_seconds():
            return Gain.ENOUGH, ""
    needed = 1 - HALF * promised
    least, ratio, most = ratio_interval(pending.baseline, measured)
    if most <= needed or (last and (ratio <= needed or met)):
        return Gain.ENOUGH, ""
    if least <= needed and not last:
        return Gain.UNCLEAR, ""
    text = described(pending.baseline, measured)
    return Gain.TOO_LITTLE, f"{text}, less than half of the gain of {promised:.0%} that was expected"


def _unpromised(pending: Pending, measured: Measured) -> tuple[Gain, str]:
    least, _, _ = ratio_interval(pending.baseline, measured)
    more = measured.requests_per_second > (1 + LEAST_GAIN) * pending.baseline.requests_per_second
    if more or least <= 1 - LEAST_GAIN:
        return Gain.ENOUGH, ""
    return Gain.TOO_LITTLE, f"{described(pending.baseline, measured)}, and no more requests were served"


def _not_slower(situation: Situation, pending: Pending, measured: Measured) -> tuple[Gain, str]:
    objection = slower(situation, pending.baseline, measured)
    return (Gain.TOO_LITTLE, objection) if objection else (Gain.ENOUGH, "")


def _given_back(
    situation: Situation, pending: Pending, measured: Measured, objective: Objective, *, last: bool
) -> tuple[Gain, str]:
    limit = objective.limit.total_seconds()
    if measured.p95_seconds <= limit:
        return Gain.ENOUGH, ""
    if measured.low <= limit:
        return _not_slower(situation, pending, measured) if last else (Gain.UNCLEAR, "")
    text = f"{described(pending.baseline, measured)}, above the objective of {measured.figure.text(limit)}"
    return Gain.TOO_LITTLE, text


def _by_much(pending: Pending) -> bool:
    """A last connection more gains too little to be told from chance."""
    return any(change.old is not None and change.new >= MUCH * change.old for change in pending.changes)


def _missed(situation: Situation, measured: Measured) -> bool:
    objective = situation.policy.objective
    return objective is not None and measured.p95_seconds > objective.limit.total_seconds()
