"""Decisions as people read them: `status.decisions` holds the last changes, a checkpoint the runs of holds.

Oldest first. Neither list can push anything out of the other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.core.model.decision import Decision
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import change_to_wire, values_to_wire
from paceline_operator.crd.measured import parse_time, readable, render_time

MOST_CHANGES: Final = 20
MOST_REWRITES: Final = 20


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision and what became of it. `applied` is False for holds and for what is only recommended."""

    decision: Decision
    generation: int
    values: Values
    applied: bool
    trace_id: str | None = None
    p95_seconds: float | None = None
    """In the window that was decided on."""


def entry_of(decided: Decided, now: datetime) -> dict[str, Any]:
    """One decision as the status, or a checkpoint, shows it."""
    decision = decided.decision
    entry: dict[str, Any] = {
        "time": render_time(now),
        "generation": decided.generation,
        "reason": decision.reason.value,
        "message": decision.message,
    }
    if decision.changes:
        entry["changes"] = [change_to_wire(change) for change in decision.changes]
        if not decided.applied:
            entry["recommended"] = True
    if decision.changes or decided.applied:
        entry["values"] = values_to_wire(decided.values)
    if decided.p95_seconds is not None:
        entry["p95"] = format_duration(decided.p95_seconds)
    if decided.trace_id is not None:
        entry["traceID"] = decided.trace_id
    return entry


def is_change(entry: Mapping[str, Any]) -> bool:
    """Whether a document was written for it; holds and recommendations are not."""
    return bool(entry.get("changes") or entry.get("values")) and not entry.get("recommended")


def changes_of(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The newest changes and, beside them, the newest documents that were written without one.

    Earlier versions of the operator put runs of holds among them: those are left out.
    """
    moved = [index for index, entry in enumerate(entries) if is_change(entry) and entry.get("changes")]
    others = [index for index, entry in enumerate(entries) if is_change(entry) and not entry.get("changes")]
    left = {*moved[-MOST_CHANGES:], *others[-MOST_REWRITES:]}
    return [dict(entry) for index, entry in enumerate(entries) if index in left]


def counted(
    runs: Sequence[Mapping[str, Any]], entry: Mapping[str, Any], now: datetime, interval: timedelta
) -> tuple[list[Mapping[str, Any]], bool]:
    """The runs of holds with this one, and whether it begins a run."""
    if not runs or not _same(runs[-1], entry):
        return [*runs, {**entry, "since": entry["time"], "count": 1}], True
    return [*runs[:-1], _repeated(runs[-1], entry, now, interval)], False


def _same(last: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(last.get(name) == entry.get(name) for name in ("reason", "changes", "generation"))


def _repeated(
    last: Mapping[str, Any], entry: Mapping[str, Any], now: datetime, interval: timedelta
) -> Mapping[str, Any]:
    since = readable(lambda: min(parse_time(last.get("since") or last["time"]), now), now)
    # Counted from the clock and not by adding one: a checkpoint is not written for each repetition.
    count = max(1, round((now - since) / interval) + 1)
    return {**entry, "since": render_time(since), "count": count}
