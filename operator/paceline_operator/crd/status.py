"""A policy's status, rendered, and whether it is worth a write. Pure.

What changes is written at once: conditions, values, a change and its verdict. Figures are at most five minutes old.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import Responses
from paceline_operator.core.model.decision import Decision, apply_changes
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.objectives import P99
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import values_to_wire
from paceline_operator.core.situation.memory import Measured, Memory
from paceline_operator.core.situation.situation import Fleet
from paceline_operator.core.verdict.canary import described
from paceline_operator.core.verdict.compare import described as moved
from paceline_operator.crd.conditions import FOREIGN, Condition, render_conditions
from paceline_operator.crd.decisions import Decided, changes_of, entry_of
from paceline_operator.crd.measured import parse_time, readable, render_time
from paceline_operator.crd.memory import render_pending

REFRESHED_EVERY: Final = timedelta(minutes=5)
"""Between two writes of figures alone."""
MOST_LEFT_OUT: Final = 20
"""Pods that a status names."""
SURE_SAMPLES: Final = 5000
USABLE_SAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Report:
    """What one pass has to say. None: nothing new, the status keeps what it says."""

    observed_generation: int
    conditions: tuple[Condition, ...]
    fleet: Fleet
    values: Values
    memory: Memory
    observation: Observation | None = None
    decided: Decided | None = None


def render_status(previous: Mapping[str, Any], report: Report, now: datetime) -> dict[str, Any]:
    """The whole status, without the memory and the holds that earlier versions of the operator kept in it."""
    status = {**previous, "observedGeneration": report.observed_generation, "tuner": None}
    status["conditions"] = render_conditions(previous, report.conditions, report.observed_generation, now)
    status["tuning"] = _tuning(report, previous)
    status["pods"] = {"total": report.fleet.total, "applied": report.fleet.applied}
    status["leftOut"] = _left_out(report.fleet)
    status["pending"] = _pending(report)
    if report.observation is not None:
        status["observed"] = {"time": render_time(now), **render_observed(report.observation, report.fleet)}
    status["decisions"] = _decisions(previous, report.decided, now)
    if report.decided is not None:
        status["recommendation"] = _recommendation(report.decided, report.observation)
    return _without_none({**status, "lastUpdateTime": render_time(now)})


def _decisions(previous: Mapping[str, Any], decided: Decided | None, now: datetime) -> list[dict[str, Any]] | None:
    entries = list(previous.get("decisions") or ())
    if decided is not None and decided.applied:
        entries.append(entry_of(decided, now))
    return changes_of(entries) or None


def _left_out(fleet: Fleet) -> list[dict[str, str]] | None:
    named = fleet.left_out[:MOST_LEFT_OUT]
    return [{"name": each.name, "reason": each.reason, "message": each.message} for each in named] or None


def render_not_ready(
    previous: Mapping[str, Any], conditions: tuple[Condition, ...], observed_generation: int, now: datetime
) -> dict[str, Any]:
    """The status of a policy that cannot be tuned: what was, with new conditions."""
    status = {**previous, "observedGeneration": observed_generation}
    status["conditions"] = render_conditions(previous, conditions, observed_generation, now)
    return status


def render_observed(observation: Observation, fleet: Fleet) -> dict[str, Any]:
    """What was measured, for people; absent where nothing was."""
    waits = [wait for pool in observation.pools.values() if (wait := pool.wait.quantile(0.99)) is not None]
    requests = {} if observation.by_waits else _of_requests(observation)
    figures = {
        **requests,
        "streams": observation.open or None,
        "loopLagP95": _text(observation.loop_lag_p95),
        "poolWaitP99": _text(max(waits, default=None)),
        "turnedAway": observation.turned_away or None,
        "throttledRatio": None if observation.throttled_ratio is None else round(observation.throttled_ratio, 3),
        "coverage": round(observation.pods / fleet.total, 3) if fleet.total else None,
    }
    return _without_none(figures)


def _of_requests(observation: Observation) -> dict[str, Any]:
    return {
        "p95": _text(observation.p95),
        **_percentiles(observation),
        "errorRatio": round(observation.error_ratio, 6),
        "samples": observation.requests,
        "requestsPerSecond": round(observation.requests_per_second, 1),
    }


def _percentiles(observation: Observation) -> dict[str, Any]:
    """p99 where that is the objective, and what is measured of routes that have one of their own."""
    others, *routes = observation.by_objective
    told: dict[str, Any] = {}
    if others.quantile == P99 and others.duration.count:
        told["p99"] = format_duration(others.seconds)
    if found := [_route(each) for each in routes if each.duration.count]:
        told["routes"] = found
    return told


def _route(seen: Responses) -> dict[str, Any]:
    assert seen.target is not None  # of a route
    figures = {"match": seen.target.match, seen.target.percentile: format_duration(seen.seconds)}
    told = {**figures, "samples": seen.duration.count}
    return {**told, "met": seen.kept} if seen.interval else told


def due(stored: Mapping[str, Any], fresh: Mapping[str, Any], now: datetime, *, at_once: bool = False) -> bool:
    """Whether a pass has to write its status: it says something else, or its figures are new and five minutes are over.

    Args:
        at_once: it carries what somebody waits for, such as what a switch has led to.
    """
    if _essence(stored) != _essence(fresh) or _new_troubles(stored, fresh):
        return True
    if {**stored, "lastUpdateTime": None} == {**fresh, "lastUpdateTime": None}:
        return False
    return at_once or readable(lambda: now - parse_time(stored["lastUpdateTime"]) >= REFRESHED_EVERY, True)


def _essence(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """What is worth a write of its own; all else waits for the next one."""
    conditions = status.get("conditions") or ()
    return {
        **{name: status.get(name) for name in ("observedGeneration", "pending", "decisions", "tuner")},
        "tuning": {name: value for name, value in (status.get("tuning") or {}).items() if name != "gained"},
        "conditions": [(one.get("type"), one.get("status"), one.get("reason")) for one in conditions],
        # Of the others the message counts pods, which an autoscaler moves.
        "ready": [one.get("message") for one in conditions if one.get("type") == "Ready"],
    }


def _new_troubles(stored: Mapping[str, Any], fresh: Mapping[str, Any]) -> bool:
    """Whether pods of the target are left out for a reason that nobody has read yet. Strangers come and go."""
    told = {each.get("reason") for each in stored.get("leftOut") or ()}
    return bool({each.get("reason") for each in fresh.get("leftOut") or ()} - told - {FOREIGN})


def _tuning(report: Report, previous: Mapping[str, Any]) -> dict[str, Any]:
    tuning: dict[str, Any] = {"generation": report.fleet.generation, "values": values_to_wire(report.values)}
    if report.memory.last_known_good:
        tuning["lastKnownGood"] = values_to_wire(report.memory.last_known_good)
    gained = _gained(report) or (previous.get("tuning") or {}).get("gained")
    return {**tuning, "gained": gained} if gained else tuning


def _pending(report: Report) -> dict[str, Any] | None:
    pending = report.memory.pending
    if pending is None:
        return None
    wire = render_pending(pending)
    return {**wire, "trying": described(pending, report.fleet.total)} if pending.tried_on else wire


def _gained(report: Report) -> str | None:
    first, now = report.memory.first, Measured.of(report.observation) if report.observation else None
    if first is None or now is None or not report.fleet.generation:
        return None
    return moved(first, now)


def _recommendation(decided: Decided, observation: Observation | None) -> dict[str, Any]:
    decision = decided.decision
    samples = observation.requests if observation else 0
    recommendation: dict[str, Any] = {
        "reason": decision.reason.value,
        "message": decision.message,
        "values": values_to_wire(apply_changes(decided.values, decision.changes)),
        "uncapped": values_to_wire(_uncapped(decided.values, decision)),
        "confidence": "High" if samples >= SURE_SAMPLES else "Medium" if samples >= USABLE_SAMPLES else "Low",
    }
    if decision.replicas is not None:
        recommendation["replicas"] = decision.replicas
    if decision.limited_by is not None:
        recommendation["limitedReason"] = decision.limited_by.value
    return recommendation


def _uncapped(values: Values, decision: Decision) -> Values:
    return apply_changes(apply_changes(values, decision.changes), decision.uncapped)


def _text(seconds: float | None) -> str | None:
    return None if seconds is None else format_duration(seconds)


def _without_none(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
