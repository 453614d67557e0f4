"""What changed, read from a policy's status and checkpoint and told to a person. Pure: no clock, no cluster."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.crd.decisions import is_change
from paceline_operator.crd.measured import parse_time

LOOKED_BACK: Final = timedelta(minutes=60)


@dataclass(frozen=True, slots=True)
class Made:
    """A change that was made. `before` and `after` are p95 as written, None where nothing was measured."""

    time: datetime
    generation: int
    reason: str
    message: str
    before: str | None
    after: str | None
    trace_id: str | None


def changes_made(status: Mapping[str, Any], at: datetime, holds: Sequence[Mapping[str, Any]] = ()) -> tuple[Made, ...]:
    """The changes of the hour before `at`, oldest first; an entry that cannot be read is left out.

    Args:
        holds: the runs of the policy's checkpoint; the first figures after a change tell what came of it.
    """
    # What was observed at the time of a change led to it, so that it comes first.
    entries = sorted((status.get("observed") or {}, *holds, *(status.get("decisions") or ())), key=_began)
    return tuple(made for made in _made(entries) if at - LOOKED_BACK <= made.time <= at)


def explain(policy: str, changes: Sequence[Made], at: datetime, jaeger: str | None = None) -> str:
    """What a person reads who asks why. `jaeger` is the address of its page, for links."""
    if not changes:
        minutes = LOOKED_BACK // timedelta(minutes=1)
        return f"{policy}: no change within {minutes} min before {_text(at)}: not Paceline"
    return "\n".join(_paragraph(made, jaeger) for made in changes)


def _began(entry: Mapping[str, Any]) -> str:
    """RFC 3339 in UTC, so that the order of texts is that of times."""
    return str(entry.get("since") or entry.get("time"))


def _made(entries: Sequence[Mapping[str, Any]]) -> Iterator[Made]:
    for index, entry in enumerate(entries):
        if not entry.get("changes") or not is_change(entry):
            continue
        try:
            time, generation = parse_time(entry["time"]), int(entry["generation"])
        except (KeyError, TypeError, ValueError):
            continue
        later = (one for one in entries[index + 1 :] if one.get("p95"))
        after = next(later, {}).get("p95")
        reason, message = str(entry.get("reason")), str(entry.get("message"))
        yield Made(time, generation, reason, message, entry.get("p95"), after, entry.get("traceID"))


def _paragraph(made: Made, jaeger: str | None) -> str:
    lines = [f"{_text(made.time)}  generation {made.generation}  {made.reason}", f"  {made.message}"]
    if made.before or made.after:
        lines.append(f"  p95 {made.before or 'not measured'} → {made.after or 'not measured yet'}")
    if made.trace_id:
        lines.append(f"  trace {_link(made.trace_id, jaeger)}")
    return "\n".join(lines)


def _link(trace_id: str, jaeger: str | None) -> str:
    return f"{jaeger.rstrip('/')}/trace/{trace_id}" if jaeger else trace_id


def _text(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")
