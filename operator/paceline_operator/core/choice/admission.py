"""The bounds of the pods' own admission law, by what a worker serves in time. Off unless the policy names it.

| bound | size | why |
| --- | --- | --- |
| max | ⌈1.5·XT + 3·√(XT)⌉, X responses in time a second and worker, T the objective | with more, none were in time |
| min | max(2, ⌈X·S⌉), X all responses a second and worker, S their mean duration | so many there are anyway (Little) |

Both within the policy's bounds. 3·√ is what random arrivals need beyond their mean. Worked example: 100 responses a
second and worker, all in 45 ms, 20 ms on average: ⌈6.75 + 6.36⌉ = 14 and max(2, 2) = 2.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, sqrt
from typing import Final

from paceline_operator.core.guards.gates import GATES
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Decision, Reason, differences
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Bounds, Objective
from paceline_operator.core.model.tunables import ADMISSION_MAX, ADMISSION_MIN, ADMISSION_P95, WORKERS, Tunable, Values
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Situation

SPARE: Final = 1.5
BURST: Final = 3.0
LEAST: Final = 2
WORTH_IT: Final = 1.25
"""A bound moves if it changes by more than this factor: every document costs the tuner a window."""


def with_admission(situation: Situation, decision: Decision, memory: Memory) -> tuple[Decision, Memory]:
    """The decision, with what has to be done about admission. What the policy says goes along with any change; what was
    measured only where nothing else moves or is being judged."""
    if situation.held or not situation.fleet.reporting or decision.reason is Reason.RUNTIME_TOO_OLD:
        return decision, memory
    wanted, why = _as_named(situation)
    # What a swamped service completes in a few seconds says nothing of what it serves in time.
    calm = not situation.short and not decision.changes and memory.pending is None
    if calm and not any(gate(situation) for gate in GATES):
        wanted, why = _as_measured(situation, wanted, why)
    changes = differences({tunable: situation.values.get(tunable, 0.0) for tunable in wanted}, wanted)
    if not changes:
        return decision, memory
    message = f"{', '.join(map(str, changes))}: {why}; {decision.message}"
    if decision.changes:
        return replace(decision, changes=(*decision.changes, *changes), message=message), memory
    return replace(decision, changes=changes, reason=Reason.ADMISSION_SIZED, message=message), replace(
        memory, pending=None
    )


def size(observation: Observation, objective: Objective, workers: float, allowed: Bounds) -> tuple[float, float] | None:
    """Minimum and maximum for a worker; None where there was no response."""
    mean = observation.duration.mean
    if mean is None or not observation.pods:
        return None
    promised = objective.limit.total_seconds()
    responses = observation.requests_per_second / (observation.pods * workers)
    useful = responses * observation.share_within(promised) * promised
    least = allowed.clamp(max(LEAST, ceil(responses * mean)))
    most = allowed.clamp(ceil(SPARE * useful + BURST * sqrt(useful)))
    return least, max(least, most)


def _as_named(situation: Situation) -> tuple[Values, str]:
    allowed, values = situation.policy.admission, situation.values
    if allowed is None:
        named = dict.fromkeys((ADMISSION_MIN, ADMISSION_MAX, ADMISSION_P95), 0.0)
        return named, "the policy does not name admission any more"
    objective = situation.policy.objective
    return {
        ADMISSION_MIN: allowed.clamp(values.get(ADMISSION_MIN) or allowed.minimum),
        ADMISSION_MAX: allowed.clamp(values.get(ADMISSION_MAX) or allowed.maximum),
        # A worker does not know whose request it is: what is slow to all of them is slower than the slowest may be.
        ADMISSION_P95: max(target.limit for target in objective.targets).total_seconds() if objective else 0.0,
    }, "as the policy names it"


def _as_measured(situation: Situation, named: Values, why: str) -> tuple[Values, str]:
    policy, observation = situation.policy, situation.observation
    if policy.admission is None or policy.objective is None or observation is None or observation.by_waits:
        return named, why
    found = size(observation, policy.objective, situation.values.get(WORKERS, 1.0), policy.admission)
    if found is None:
        return named, why
    sized = {ADMISSION_MIN: found[0], ADMISSION_MAX: found[1]}
    if not any(_worth(named, tunable, value) for tunable, value in sized.items()):
        return named, why
    per_worker = observation.requests_per_second / observation.pods / situation.values.get(WORKERS, 1.0)
    mean = format_duration(observation.duration.mean or 0.0)
    return {**named, **sized}, f"{per_worker:.3g} requests a second and worker, {mean} on average"


def _worth(now: Mapping[Tunable, float], tunable: Tunable, value: float) -> bool:
    return max(value, now[tunable]) > WORTH_IT * min(value, now[tunable])
