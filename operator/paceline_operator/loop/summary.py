"""A pass in numbers, for metrics and spans. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Decision, Reason, apply_changes
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.situation.memory import Memory, Pending
from paceline_operator.core.situation.situation import Fleet
from paceline_operator.figures import Conclusion, PodFigures, PolicyFigures, Verdict, conditions_in
from paceline_operator.loop.gather import Gathered, fleet_of
from paceline_operator.loop.report import Outcome
from paceline_operator.loop.think import Thought
from paceline_operator.loop.understand import NotReady
from paceline_operator.ports import Attribute

QUANTILES: Final = (0.5, 0.95, 0.99)
MOST_LEFT_OUT: Final = 20
"""Pods that a span names."""


def figures_of(outcome: Outcome, status: Mapping[str, Any]) -> PolicyFigures:
    """Of a pass and the status that it came to."""
    situation, decision = outcome.thought.situation, outcome.decision
    observation, objective = situation.observation, situation.policy.objective
    latency = None
    if observation is not None and observation.p95 is not None:
        found = ((quantile, observation.duration.quantile(quantile)) for quantile in QUANTILES)
        latency = {quantile: seconds for quantile, seconds in found if seconds is not None}
    changed = decision if outcome.applied and decision is not None and decision.changes else None
    return PolicyFigures(
        conditions=conditions_in(status),
        paused=outcome.switches.paused,
        pods=outcome.fleet.total,
        applied=outcome.fleet.applied,
        values=_named(outcome.values),
        recommended=None if decision is None else _named(apply_changes(outcome.values, decision.changes)),
        latency=latency,
        objective_seconds=None if objective is None else objective.limit.total_seconds(),
        wanted_replicas=None if decision is None else decision.replicas,
        predicted_seconds=_promise(outcome.memory.pending) if changed else None,
        changed=changed.reason.value if changed else None,
        verdict=verdict_of(outcome),
        mode=outcome.mode.value,
        quantile=None if objective is None else objective.quantile,
        kinds={str(tunable): tunable.kind.value for tunable in outcome.values},
        conclusion=None if decision is None else _conclusion(outcome, decision),
        each_pod=_pods(outcome.fleet),
    )


def not_ready_of(problem: NotReady, status: Mapping[str, Any]) -> PolicyFigures:
    """Of a pass that found that it can do nothing: its target may be gone, and it has not looked at any pod."""
    conclusion = Conclusion(problem.reason.value, str(problem))
    return PolicyFigures(conditions_in(status), conclusion=conclusion, looked=False)


def _conclusion(outcome: Outcome, decision: Decision) -> Conclusion:
    observation = outcome.thought.situation.observation
    return Conclusion(
        reason=decision.reason.value,
        message=decision.message,
        changes=tuple(map(str, decision.changes)),
        generation=outcome.fleet.generation,
        applied=outcome.applied,
        trace_id=outcome.trace_id,
        latency_seconds=None if observation is None else observation.response_seconds,
    )


def _pods(fleet: Fleet) -> tuple[PodFigures, ...]:
    why = {each.name: f"{each.reason}: {each.message}" for each in fleet.left_out}
    members = fleet.members
    return tuple(PodFigures(each.name, each.generation, each.applied, why.get(each.name, "")) for each in members)


def observed_of(gathered: Gathered) -> Mapping[str, Attribute | None]:
    """Of the step that reads: how many pods report, and which are left out."""
    fleet = fleet_of(gathered)
    left_out = tuple(f"{each.name}: {each.reason}" for each in fleet.left_out[:MOST_LEFT_OUT])
    return {
        "pods": fleet.total,
        "reporting": fleet.reporting,
        "coverage": round(fleet.coverage, 3),
        "left_out": left_out or None,
    }


def decided_of(thought: Thought) -> Mapping[str, Attribute | None]:
    """Of the step that decides: the figures that it rests on, and what else came into question."""
    situation, decision = thought.situation, thought.decision
    seen, objective = situation.observation, situation.policy.objective
    if decision is None:
        return {}
    figures: dict[str, Attribute | None] = {
        "reason": decision.reason.value,
        "message": decision.message,
        "limited_by": decision.limited_by.value if decision.limited_by else None,
        "wanted_replicas": decision.replicas,
        "objective_seconds": objective.limit.total_seconds() if objective else None,
        "candidates": tuple(map(str, thought.foremost)) or None,
    }
    return {**figures, **_measured(seen)} if seen else figures


def _measured(seen: Observation) -> Mapping[str, Attribute | None]:
    waits = {name: pool.wait.quantile(0.99) for name, pool in seen.pools.items()}
    return {
        "p95_seconds": seen.p95,
        "requests": seen.requests,
        "requests_per_second": round(seen.requests_per_second, 2),
        "error_ratio": round(seen.error_ratio, 6),
        "loop_lag_p95_seconds": seen.loop_lag_p95,
        "cpu_ratio": seen.cpu_ratio,
        "throttled_ratio": seen.throttled_ratio,
        **{f"pool_wait_p99_seconds.{name}": wait for name, wait in waits.items()},
    }


def verdict_of(outcome: Outcome) -> Verdict | None:
    """What this pass made of the change that waited for its verdict; None where it still waits, or none did.

    A trial whose values go on to all pods is not judged yet.
    """
    situation, after, decision = outcome.thought.situation, outcome.memory, outcome.decision
    pending = situation.memory.pending
    if pending is None or decision is None or (after.pending is not None and _goes_on(pending, after.pending)):
        return None
    observed = situation.observation.response_seconds if situation.observation else None
    return Verdict(pending.reason.value, _became(situation.values, after, decision), _promise(pending), observed)


def _goes_on(pending: Pending, after: Pending) -> bool:
    return after.generation == pending.generation or (bool(pending.tried_on) and after.changes == pending.changes)


def _became(values: Values, after: Memory, decision: Decision) -> str:
    if decision.reason in (Reason.ROLLED_BACK, Reason.OUT_OF_MEMORY):
        return "rolled_back"
    return "kept" if after.last_known_good == values else "dropped"


def _promise(pending: Pending | None) -> float | None:
    if pending is None or pending.promised is None:
        return None
    return pending.baseline.p95_seconds * (1 - pending.promised)


def _named(values: Values) -> Mapping[str, float]:
    return {str(tunable): value for tunable, value in values.items()}
