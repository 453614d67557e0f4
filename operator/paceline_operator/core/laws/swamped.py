"""Whether a service is swamped: what it has too little of is in use all the time, and p95 is far above the objective.

A saturated queue needs no statistics to be seen, and each second of it costs. So a window of a few seconds
(`core/measure/window.py`) decides where it shows one, and only then; it may let grow what is saturated, and nothing
else. All other decisions are left to whole windows.

| saturated | its share in use | what waits for it |
| --- | --- | --- |
| workers | loops busy ≥ 95 % of the time | the loop lags for more than 12 % of the objective's p95, at p95 |
| a pool | connections checked out ≥ 90 % of the time, not for lag | 1 in 100 waits longer than the objective's p95 |

Worked example, objective 45 ms: loops busy 100 % of 6 s, loop lag p95 29 ms, p95 1.2 s: workers grow at once. p95
80 ms with loops busy 80 % of the time is a missed objective; the next whole window deals with it.
"""

from math import exp, sqrt
from typing import Final

from paceline_operator.core.laws.diagnose import FULL, LAG_SHARE, exhausted_by_itself
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import SURELY
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable
from paceline_operator.core.queueing.fit import LEAST_CHECKOUTS
from paceline_operator.core.situation.memory import Measured
from paceline_operator.core.situation.situation import Situation

FAR: Final = 2.0
"""Times the objective's p95, above which it is missed by far."""
LEAST_RESPONSES: Final = 50
"""Fewer in a short window say nothing."""
MORE: Final = 1.05
"""Times the responses a second that a step must surely have brought, for another step in a short window."""


def swamped(situation: Situation) -> str:
    """Says what is saturated; empty where the service is not swamped."""
    observation, objective = situation.observation, situation.policy.objective
    if observation is None or objective is None or observation.requests < LEAST_RESPONSES:
        return ""
    slow, limit = observation.response_seconds or 0.0, objective.limit.total_seconds()
    full = [str(tunable) for tunable in situation.values if saturated(situation, tunable)]
    if slow <= FAR * limit or not full:
        return ""
    seconds = format_duration(round(observation.window_seconds))
    return f"swamped within {seconds}: {' and '.join(full)} saturated, {observation.figure.told(slow)}"


def saturated(situation: Situation, tunable: Tunable | None) -> bool:
    """Whether there is hard evidence that more of this is needed: it is in use all the time, and waited for."""
    observation, objective = situation.observation, situation.policy.objective
    if tunable is None or observation is None or objective is None:
        return False
    if tunable == WORKERS:
        return _loops_saturated(situation, observation, objective)
    return tunable.kind is Kind.POOL and _pool_saturated(situation, observation, objective, tunable)


def serves_more(baseline: Measured, measured: Measured) -> bool:
    """Whether responses a second and pod surely rose by a twentieth: a saturated service completes what it can.

    Counts vary by their square root: the ratio's logarithm by √(1/n + 1/m). Worked example: 9,000 and 14,000 responses
    in as many seconds: ×1.56, and ×1.50 at least.
    """
    if not baseline.load or not measured.samples:
        return False
    chance = SURELY * sqrt(1 / max(1, baseline.samples) + 1 / measured.samples)
    return measured.load / baseline.load * exp(-chance) > MORE


def _loops_saturated(situation: Situation, observation: Observation, objective: Objective) -> bool:
    busy, lag = observation.busy(situation.values.get(WORKERS, 1.0)), observation.loop_lag_p95
    return busy is not None and busy >= FULL and lag is not None and lag > LAG_SHARE * objective.limit.total_seconds()


def _pool_saturated(situation: Situation, observation: Observation, objective: Objective, tunable: Tunable) -> bool:
    seen = observation.pools.get(tunable.name)
    if seen is None or seen.hold.count < LEAST_CHECKOUTS:
        return False
    waits = (seen.wait.quantile(0.99) or 0.0) > objective.limit.total_seconds()
    return waits and exhausted_by_itself(situation, observation, tunable)
