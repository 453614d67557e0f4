"""The loop's memory in a policy's status: `pending`, `tuning.lastKnownGood` and `tuner`. Versioned; bounded in size.

What a newer operator wrote and this one does not know is carried along, and what cannot be read is forgotten: the
worst that follows is one more cautious window.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar

import orjson

from paceline_operator.core.model import NOTHING, Reason
from paceline_operator.core.situation import Measured, Memory, Oversized, Pending, Rejected
from paceline_operator.core.values import change_from_wire, change_to_wire, values_from_wire, values_to_wire

VERSION: Final = 1
MOST_BYTES: Final = 16 << 10
_KNOWN: Final = {"version", "changes", "rollbacks", "rejected", "oversized", "first"}
_Parsed = TypeVar("_Parsed")


def render_time(time: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The inverse. Raises ValueError."""
    return datetime.fromisoformat(text)


def render_tuner(memory: Memory) -> dict[str, Any]:
    """`status.tuner`; unknown fields are dropped where the whole would be too large."""
    wire: dict[str, Any] = {
        "version": VERSION,
        "changes": [render_time(time) for time in memory.changes],
        "rollbacks": [render_time(time) for time in memory.rollbacks],
        "rejected": [{"values": values_to_wire(r.values), "until": render_time(r.until)} for r in memory.rejected],
        "oversized": {name: {"windows": o.windows, "needed": o.needed} for name, o in memory.oversized.items()},
    }
    if memory.first is not None:
        wire["first"] = _render_measured(memory.first)
    whole = {**memory.unknown, **wire}
    return whole if len(orjson.dumps(whole)) <= MOST_BYTES else wire


def render_pending(pending: Pending) -> dict[str, Any]:
    """`status.pending`."""
    return {
        "generation": pending.generation,
        "reason": pending.reason.value,
        "changes": [change_to_wire(change) for change in pending.changes],
        "baseline": _render_measured(pending.baseline),
        "since": render_time(pending.since),
        "deadline": render_time(pending.deadline),
        "restarts": pending.restarts,
    }


def parse_memory(status: Mapping[str, Any]) -> Memory:
    """The memory in a status, empty where there is none."""
    tuner = status.get("tuner") or {}
    return Memory(
        changes=_readable(lambda: tuple(parse_time(text) for text in tuner.get("changes", ())), ()),
        rollbacks=_readable(lambda: tuple(parse_time(text) for text in tuner.get("rollbacks", ())), ()),
        pending=_readable(lambda: _parse_pending(status.get("pending")), None),
        last_known_good=_readable(lambda: values_from_wire(status["tuning"]["lastKnownGood"]), NOTHING),
        rejected=_readable(lambda: tuple(_parse_rejected(entry) for entry in tuner.get("rejected", ())), ()),
        oversized=_readable(
            lambda: {n: Oversized(int(o["windows"]), int(o["needed"])) for n, o in tuner.get("oversized", {}).items()},
            {},
        ),
        first=_readable(lambda: _parse_measured(tuner["first"]), None),
        unknown={name: value for name, value in tuner.items() if name not in _KNOWN},
    )


def _readable(parse: Callable[[], _Parsed], otherwise: _Parsed) -> _Parsed:
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError):
        return otherwise


def _parse_pending(wire: Mapping[str, Any] | None) -> Pending | None:
    if not wire:
        return None
    return Pending(
        generation=int(wire["generation"]),
        changes=tuple(change_from_wire(change) for change in wire["changes"]),
        reason=Reason(wire["reason"]),
        baseline=_parse_measured(wire["baseline"]),
        since=parse_time(wire["since"]),
        deadline=parse_time(wire["deadline"]),
        restarts=int(wire.get("restarts", 0)),
    )


def _parse_rejected(wire: Mapping[str, Any]) -> Rejected:
    return Rejected(values_from_wire(wire["values"]), parse_time(wire["until"]))


def _render_measured(measured: Measured) -> dict[str, Any]:
    return {
        "p95Seconds": round(measured.p95_seconds, 6),
        "errorRatio": round(measured.error_ratio, 6),
        "requestsPerSecond": round(measured.requests_per_second, 2),
        "samples": measured.samples,
    }


def _parse_measured(wire: Mapping[str, Any]) -> Measured:
    return Measured(
        float(wire["p95Seconds"]), float(wire["errorRatio"]), float(wire["requestsPerSecond"]), int(wire["samples"])
    )
