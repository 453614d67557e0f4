"""Times and measured windows in a status or a checkpoint, and how what cannot be read is left out."""

from collections.abc import Callable, Mapping
from datetime import datetime
from math import inf
from typing import Any, TypeVar

from paceline_operator.core.measure.responses import Figure
from paceline_operator.core.situation.memory import Measured

_Parsed = TypeVar("_Parsed")


def render_time(time: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_time(text: str) -> datetime:
    """The inverse. Raises ValueError."""
    return datetime.fromisoformat(text)


def readable(parse: Callable[[], _Parsed], otherwise: _Parsed) -> _Parsed:
    """What was parsed; `otherwise` where something else is stored."""
    try:
        return parse()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return otherwise


def render_measured(measured: Measured) -> dict[str, Any]:
    """Rounded: what is compared with it is noisier."""
    wire: dict[str, Any] = {
        "p95Seconds": round(measured.p95_seconds, 6),
        "errorRatio": round(measured.error_ratio, 6),
        "requestsPerSecond": round(measured.requests_per_second, 2),
        "samples": measured.samples,
        "pods": measured.pods,
        "mix": {group: round(share, 3) for group, share in measured.mix.items()},
    }
    if measured.interval:
        wire["interval"] = [round(bound, 6) for bound in measured.interval]
    if measured.figure.counted:
        figure = measured.figure
        wire["figure"] = {"name": figure.name, "unit": figure.unit, "counted": list(figure.counted)}
    return wire


def parse_measured(wire: Mapping[str, Any]) -> Measured:
    """The inverse. Raises KeyError, TypeError, ValueError, AttributeError."""
    return Measured(
        float(wire["p95Seconds"]),
        float(wire["errorRatio"]),
        float(wire["requestsPerSecond"]),
        int(wire["samples"]),
        int(wire.get("pods", 1)),
        {str(group): float(share) for group, share in (wire.get("mix") or {}).items()},
        (float(wire["interval"][0]), float(wire["interval"][1])) if wire.get("interval") else None,
        _figure(wire["figure"]) if wire.get("figure") else Figure(),
    )


def _figure(wire: Mapping[str, Any]) -> Figure:
    unit = float(wire["unit"])
    if not 0 < unit < inf:
        raise ValueError(f"unit {unit}")
    return Figure(str(wire["name"]), unit, tuple(map(str, wire["counted"])))
