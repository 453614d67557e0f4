"""A policy's status, rendered: output only. What the loop remembers is in it, and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import inf
from typing import Any, Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Decision, apply_changes
from paceline_operator.core.model.durations import format_duration, parse_duration
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import values_to_wire
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Fleet
from paceline_operator.core.verdict.canary import described
from paceline_operator.crd.conditions import Condition, render_conditions
from paceline_operator.crd.decisions import Decided, appended
from paceline_operator.crd.memory import render_pending, render_tuner

FIGURES_MOVED: Final = 0.2
"""Observed figures that moved by less than this share are not worth a write."""
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
    interval: timedelta
    observation: Observation | None = None
    decided: Decided | None = None


def render_status(previous: Mapping[str, Any], report: Report, now: datetime) -> tuple[dict[str, Any], bool]:
    """The whole status, and whether its newest decision is news."""
    status = {**previous, "observedGeneration": report.observed_generation}
    status["conditions"] = render_conditions(previous, report.conditions, report.observed_generation, now)
    status["tuning"] = _tuning(report, previous)
    status["pods"] = {"total": report.fleet.total, "applied": report.fleet.applied}
    status["leftOut"] = _left_out(report.fleet)
    status["tuner"] = render_tuner(report.memory)
    status["pending"] = _pending(report)
    if report.observation is not None:
        status["observed"] = render_observed(report.observation, report.fleet)
    news = False
    if report.decided is not None:
        entries = previous.get("decisions") or ()
        status["decisions"], news = appended(entries, report.decided, now, report.interval)
        status["recommendation"] = _recommendation(report.decided, report.observation)
    return _without_none(status), news


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
    figures = {
        "p95": _text(observation.p95),
        "errorRatio": round(observation.error_ratio, 6),
        "samples": observation.requests,
        "requestsPerSecond": round(observation.requests_per_second, 1),
        "loopLagP95": _text(observation.loop_lag_p95),
        "poolWaitP99": _text(max(waits, default=None)),
        "turnedAway": observation.turned_away or None,
        "throttledRatio": None if observation.throttled_ratio is None else round(observation.throttled_ratio, 3),
        "coverage": round(observation.pods / fleet.total, 3) if fleet.total else None,
    }
    return _without_none(figures)


def differs(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether the new status says something else: repeated holds and figures that hardly moved do not count."""
    return _essence(old) != _essence(new) or _figures_moved(old.get("observed") or {}, new.get("observed") or {})


def _essence(status: Mapping[str, Any]) -> dict[str, Any]:
    essence = {name: value for name, value in status.items() if name not in ("observed", "decisions", "tuning")}
    # How a pod fails to respond differs from time to time.
    essence["leftOut"] = [(each.get("name"), each.get("reason")) for each in status.get("leftOut") or ()]
    essence["tuning"] = {n: value for n, value in (status.get("tuning") or {}).items() if n != "gained"}
    essence["decisions"] = [
        (entry.get("since", entry["time"]), entry["reason"], entry.get("changes"))
        for entry in status.get("decisions") or ()
    ]
    return essence


def _figures_moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    if old.keys() != new.keys():
        return True
    return any(_moved(_figure(old[name]), _figure(new[name])) for name in new)


def _moved(old: float, new: float) -> bool:
    return old != new and not abs(new - old) <= FIGURES_MOVED * max(abs(old), abs(new)) < inf


def _figure(value: Any) -> float:
    """A figure as written; infinite, hence moved, where somebody has written something else."""
    try:
        return parse_duration(value).total_seconds() if isinstance(value, str) else float(value)
    except (TypeError, ValueError):
        return inf


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
    first, p95 = report.memory.first, report.observation.p95 if report.observation else None
    if first is None or p95 is None or not report.fleet.generation:
        return None
    return f"p95 {format_duration(first.p95_seconds)} → {format_duration(p95)}"


def _recommendation(decided: Decided, observation: Observation | None) -> dict[str, Any]:
    decision = decided.decision
    samples = observation.requests if observation else 0
    recommendation: dict[str, Any] = {
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
