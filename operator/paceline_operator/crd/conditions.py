"""The conditions of a policy's status. Each speaks of one thing, so that one may fail and the others stay true."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from paceline_operator.core.guards.gates import whose
from paceline_operator.core.laws.constraints import within_budgets
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import judged
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.objectives import Target
from paceline_operator.core.model.policy import Objective, Policy
from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.core.situation.situation import LEAST_COVERAGE, Fleet, Situation
from paceline_operator.crd.measured import render_time

TYPES: Final = ("Ready", "TelemetryAvailable", "Converged", "WithinBudget", "ObjectiveMet")
NOT_MOUNTED: Final = "NotMounted"
"""Pods mount another ConfigMap than the one that holds the tuning document, or none."""
FOREIGN: Final = "Foreign"
"""A pod has the target's labels and belongs to somebody else."""
WORKER_DEGRADED: Final = "WorkerDegraded"
"""A background task of a worker fails; the message names pod and task."""

MOST_MESSAGE: Final = 2000
"""Characters of a message."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, before it is compared with the one in the status."""

    type: str
    status: Literal["True", "False", "Unknown"]
    reason: str
    message: str


def ready(reason: str, message: str) -> Condition:
    """The spec is understood and the target found."""
    return Condition("Ready", "True", reason, message)


def not_ready(reason: Reason, message: str) -> tuple[Condition, ...]:
    """Nothing else can be said about a policy that is not ready."""
    others = (Condition(name, "Unknown", reason.value, "the policy is not ready") for name in TYPES[1:])
    return (Condition("Ready", "False", reason.value, message), *others)


def lacking(fleet: Fleet) -> str:
    """What the pods lack of the pod contract, to be put behind a message; empty where they lack nothing."""
    return f"; its pods lack (docs/pod-contract.md): {'; '.join(fleet.lacks)}" if fleet.lacks else ""


def telemetry_available(fleet: Fleet, *, stale: bool, too_few: str = "") -> Condition:
    """Enough pods report; the message says as well where there are too few requests to decide on."""
    name, seen = "TelemetryAvailable", f"{fleet.reporting} of {fleet.total} pods report"
    if fleet.total == 0:
        return Condition(name, "Unknown", Reason.NOT_REPORTING.value, f"the target has no pods{whose(fleet)}")
    seen += whose(fleet)
    if fleet.reporting == 0:
        reason = Reason.TELEMETRY_STALE if stale else Reason.NOT_REPORTING
        return Condition(
            name, "False", reason.value, f"{seen}{lacking(fleet) or '; a pod needs a port named paceline'}"
        )
    if fleet.coverage < LEAST_COVERAGE:
        return Condition(name, "False", Reason.INSUFFICIENT_TELEMETRY.value, f"{seen}; {LEAST_COVERAGE:.0%} are needed")
    if fleet.cannot_measure:
        return Condition(name, "False", WORKER_DEGRADED, f"{seen}; {fleet.cannot_measure}")
    return Condition(name, "True", "PodsReport", f"{seen}; {too_few}" if too_few else seen)


def converged(fleet: Fleet) -> Condition:
    """Every pod runs the newest values."""
    name = "Converged"
    seen = f"{fleet.applied} of {fleet.total} pods run generation {fleet.generation}"
    if fleet.unknown:
        seen += f"; no worker registered {', '.join(fleet.unknown)}"
    for which, clamped in (("", fleet.clamped), (" by a few pods", fleet.clamped_by_few)):
        seen += "".join(f"; {tunable} clamped{which}: {why}" for tunable, why in sorted(clamped.items()))
    if fleet.too_old:
        return Condition(
            name, "False", Reason.RUNTIME_TOO_OLD.value, f"{seen}; {fleet.too_old[0]} needs a newer runtime"
        )
    if fleet.total == 0 or (fleet.reporting == 0 and not fleet.converged):
        return Condition(name, "Unknown", Reason.NOT_REPORTING.value, "no pod says what it runs")
    if fleet.cannot_tune:
        return Condition(name, "False", WORKER_DEGRADED, f"{seen}; {fleet.cannot_tune}")
    if fleet.shrink_blocked:
        return Condition(name, "False", Reason.SHRINK_BLOCKED.value, f"{seen}; {fleet.shrink_blocked}")
    if not fleet.converged:
        return Condition(name, "False", _why_behind(fleet), f"{seen}{whose(fleet)}{_first_told(fleet)}")
    return Condition(name, "True", "AllPodsApplied", seen)


def _why_behind(fleet: Fleet) -> str:
    mounted = [each.reason for each in fleet.left_out].count(NOT_MOUNTED)
    return NOT_MOUNTED if mounted and mounted == fleet.total - fleet.applied else Reason.NOT_CONVERGED.value


def _first_told(fleet: Fleet) -> str:
    """The sentence of the first pod: what one lacks, the others often lack as well."""
    return f"; {fleet.left_out[0].name}: {fleet.left_out[0].message}" if fleet.left_out else ""


def within_budget(
    policy: Policy, situation: Situation | None = None, missing: Mapping[str, str] = NOTHING
) -> Condition:
    """The connections fit their budgets; `missing` says why some cannot be drawn from."""
    name, named = "WithinBudget", sorted({spec.budget for spec in policy.tunables.values() if spec.budget is not None})
    if not named:
        return Condition(name, "True", "NoBudget", "no pool refers to a budget")
    lacking = [budget for budget in named if budget in missing or situation is None]
    if lacking:
        told = "; ".join(missing.get(budget, f"there is no ConnectionBudget {budget}") for budget in lacking)
        return Condition(name, "False", Reason.BUDGET_NOT_FOUND.value, f"{told}; until then its pools do not grow")
    assert situation is not None
    rooms = ", ".join(f"{budget}: room for {situation.budgets[budget].connections}" for budget in named)
    rooms += f" in {', '.join(f'{situation.budgets[budget].pods} pods' for budget in named)} at the worst"
    if not within_budgets(situation, situation.values):
        return Condition(name, "False", Reason.BUDGET_EXHAUSTED.value, f"{rooms}, and the values in force are more")
    return Condition(name, "True", "Fits", rooms)


def objective_met(
    policy: Policy,
    observation: Observation | None,
    previous: Mapping[str, Any],
    too_few: str = "",
    *,
    unjudged: timedelta = timedelta(),
) -> Condition:
    """The objective holds; between two windows, or with `too_few` requests, what was last measured stands.

    Args:
        unjudged: for how long no window could be held against the objective. After the longest window, and three
            intervals for passes to come in, what was measured before it says nothing of now.
    """
    name, objective = "ObjectiveMet", policy.objective
    if objective is None:
        return Condition(name, "Unknown", "NoObjective", "the policy states no objective")
    if observation is not None and observation.by_waits:
        seen = f"{observation.open} streams or WebSockets are open, and hardly a request: there are no response times"
        return Condition(name, "Unknown", Reason.STREAMS_ONLY.value, seen)
    if not can_be_judged(observation, too_few):
        if unjudged > policy.behavior.longest_window + 3 * policy.behavior.interval:
            quiet = f"no window could be judged for {format_duration(policy.behavior.longest_window)}"
            return Condition(name, "Unknown", Reason.INSUFFICIENT_TELEMETRY.value, too_few or quiet)
        return _last(name, previous, too_few or "no window has been measured yet")
    assert observation is not None  # it can be judged
    errors, told = objective.error_ratio, _promises(objective, observation)
    missed = [f"{target.name} is above {format_duration(target.limit)}" for target, met in told if not met]
    if missed:
        return Condition(name, "False", "Slow", "; ".join(missed))
    if observation.error_ratio > errors:
        return Condition(name, "False", "Failing", f"more than {errors:.3%} of the requests fail")
    kept = "; ".join(f"{target.name} is within {format_duration(target.limit)}" for target, _ in told)
    return Condition(name, "True", "WithinObjective", kept)


def can_be_judged(observation: Observation | None, too_few: str = "") -> bool:
    """Whether a window says if the objective is met."""
    return not too_few and observation is not None and observation.response_seconds is not None


def _promises(objective: Objective, observation: Observation) -> list[tuple[Target, bool]]:
    """Each objective that could be judged, and whether it is met; at the least that of most of the requests."""
    if not observation.responses:
        return [(objective.targets[0], (observation.p95 or 0.0) <= objective.limit.total_seconds())]
    return [(each.target, each.kept) for each in judged(observation.responses) if each.target]


def _last(name: str, previous: Mapping[str, Any], otherwise: str) -> Condition:
    for condition in previous.get("conditions") or ():
        if (
            condition["type"] == name
            and condition["reason"] not in tuple(Reason)
            and condition["reason"] != "NoObjective"
        ):
            return Condition(name, condition["status"], condition["reason"], condition["message"])
    return Condition(name, "Unknown", Reason.INSUFFICIENT_TELEMETRY.value, otherwise)


def render_conditions(
    previous: Mapping[str, Any], conditions: Iterable[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """`lastTransitionTime` moves only when the status does."""
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    return [_render(before.get(condition.type), condition, generation, now) for condition in conditions]


def cut(message: str) -> str:
    """Pods, and people, write parts of it; the API server refuses a status with a longer one."""
    return message if len(message) <= MOST_MESSAGE else f"{message[: MOST_MESSAGE - 1]}…"


def _render(before: Mapping[str, Any] | None, condition: Condition, generation: int, now: datetime) -> dict[str, Any]:
    same = before is not None and before["status"] == condition.status
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": cut(condition.message),
        "observedGeneration": generation,
        "lastTransitionTime": before["lastTransitionTime"] if before and same else render_time(now),
    }
