"""`status.decisions`: the last changes, each with its reason; a run of holds is one counted entry, oldest first.

Both are bounded by themselves, so that holds never push a change out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.core.model.decision import Decision
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import change_to_wire, values_to_wire
from paceline_operator.crd.measured import parse_time, render_time

MOST_CHANGES: Final = 20
MOST_HOLDS: Final = 20


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


def appended(
    entries: Sequence[Mapping[str, Any]], decided: Decided, now: datetime, interval: timedelta
) -> tuple[list[dict[str, Any]], bool]:
    """The entries with this decision, and whether it is news: not the repetition of the last one."""
    kept = [dict(entry) for entry in entries]
    entry = entry_of(decided, now)
    if not decided.applied and kept and _same(kept[-1], entry):
        kept[-1] = _repeated(kept[-1], entry, now, interval)
        return kept, False
    return trimmed([*kept, entry]), True


def entry_of(decided: Decided, now: datetime) -> dict[str, Any]:
    """One decision as the status shows it."""
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


def _same(last: Mapping[str, Any], entry: Mapping[str, Any]) -> bool:
    return all(last.get(name) == entry.get(name) for name in ("reason", "changes", "generation"))


def _repeated(last: Mapping[str, Any], entry: dict[str, Any], now: datetime, interval: timedelta) -> dict[str, Any]:
    since = last.get("since", last["time"])
    # Counted from the clock and not by adding one: the status is not written for each repetition.
    count = max(1, round((now - parse_time(since)) / interval) + 1)
    return {**entry, "since": since, "count": count}


def trimmed(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The newest changes that were made and, beside them, the newest runs of holds and recommendations."""
    made = [index for index, entry in enumerate(entries) if entry.get("changes") and not entry.get("recommended")]
    others = [index for index in range(len(entries)) if index not in set(made)]
    left = {*made[-MOST_CHANGES:], *others[-MOST_HOLDS:]}
    return [dict(entry) for index, entry in enumerate(entries) if index in left]
