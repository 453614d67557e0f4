"""Policies as read → the lines of the table, the worst first. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from paceline_operator.crd.measured import parse_time, readable
from paceline_operator.ports import PolicyResource

HEAD: Final = (
    "NAMESPACE", "POLICY", "TARGET", "MODE", "LATENCY", "OBJECTIVE", "REQ/S", "WORKERS", "POOLS", "CACHES", "PODS",
    "CHANGED", "REASON",
)  # fmt: skip
UNKNOWN: Final = "-"
_STATES: Final = ("broken", "missed", "waiting", "met")
"""Worst first."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, and how the policy fares: `broken`, `missed`, `waiting`, `met`, or `head`."""

    text: str
    state: str


def lines_of(policies: Sequence[PolicyResource], now: datetime) -> list[Line]:
    """The head, then a line a policy, in columns as wide as what is in them."""
    rows = sorted(((_state(policy), _cells(policy, now)) for policy in policies), key=_order)
    every = [HEAD, *(cells for _, cells in rows)]
    widths = [max(len(cells[column]) for cells in every) for column in range(len(HEAD))]
    states = ["head", *(state for state, _ in rows)]
    return [Line(_joined(cells, widths), state) for cells, state in zip(every, states, strict=True)]


def _order(row: tuple[str, tuple[str, ...]]) -> tuple[int, tuple[str, ...]]:
    return _STATES.index(row[0]), row[1]


def _joined(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _state(policy: PolicyResource) -> str:
    conditions = {one.get("type"): one.get("status") for one in policy.status.get("conditions") or ()}
    if conditions.get("Ready") != "True":
        return "broken"
    return {"True": "met", "False": "missed"}.get(str(conditions.get("ObjectiveMet")), "waiting")


def _cells(policy: PolicyResource, now: datetime) -> tuple[str, ...]:
    spec, status = policy.spec, policy.status
    values: Mapping[str, Any] = (status.get("tuning") or {}).get("values") or {}
    observed, objective = status.get("observed") or {}, spec.get("objective") or {}
    target, pods = spec.get("targetRef") or {}, status.get("pods") or {}
    percentile = "p99" if "p99" in objective else "p95"
    caches = {name: f"{entry.get('ttlSeconds', 0):g}s" for name, entry in (values.get("caches") or {}).items()}
    cells = (
        policy.key.namespace,
        policy.key.name,
        f"{target.get('kind', 'Deployment')}/{target.get('name')}",
        spec.get("mode", "Recommend"),
        observed.get(percentile),
        f"{percentile} {objective[percentile]}" if percentile in objective else None,
        _rate(observed.get("requestsPerSecond")),
        values.get("workers"),
        _named(values.get("pools") or {}),
        _named(caches),
        f"{pods['applied']}/{pods['total']}" if pods.keys() >= {"applied", "total"} else None,
        _since(status, now),
        _reason(status),
    )
    return tuple(UNKNOWN if cell in (None, "") else str(cell) for cell in cells)


def _rate(rate: float | None) -> str | None:
    return None if rate is None else f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"


def _named(values: Mapping[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in sorted(values.items()))


def _since(status: Mapping[str, Any], now: datetime) -> str | None:
    """How long ago the last change was made."""
    changes = [entry for entry in status.get("decisions") or () if entry.get("changes")]
    time = readable(lambda: parse_time(changes[-1]["time"]), None) if changes else None
    return None if time is None else f"{_age((now - time).total_seconds())} ago"


def _age(seconds: float) -> str:
    """In the largest unit of which there are two, as kubectl has it: 90 s → `90s`, 150 s → `2m`."""
    units = (("d", 86400), ("h", 3600), ("m", 60))
    return next((f"{int(seconds // size)}{unit}" for unit, size in units if seconds >= 2 * size), f"{int(seconds)}s")


def _reason(status: Mapping[str, Any]) -> str | None:
    """Why the policy is not ready, or not as it asks; else why the last pass did what it did."""
    for one in status.get("conditions") or ():
        if one.get("type") == "Ready" and (one.get("status") != "True" or one.get("reason") != "Accepted"):
            return str(one.get("reason"))
    reason = (status.get("recommendation") or {}).get("reason")
    return None if reason is None else str(reason)
