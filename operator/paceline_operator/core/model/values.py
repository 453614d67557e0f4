"""Values and changes in the form that documents, `/state` and status share: `{"workers", "pools", "caches"}`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from paceline_operator.core.model.decision import Change
from paceline_operator.core.model.tunables import (
    ADMISSION_MAX,
    ADMISSION_MIN,
    ADMISSION_P95,
    WORKERS,
    Kind,
    Tunable,
    Values,
    cache,
    pool,
)


def values_to_wire(values: Values) -> dict[str, Any]:
    """`{"workers": 4, "pools": {"postgres": 8}, "caches": {"responses": {"ttlSeconds": 60}}, "admission": {…}}`."""
    wire: dict[str, Any] = {"workers": int(values[WORKERS])} if WORKERS in values else {}
    wire["pools"] = {tunable.name: int(values[tunable]) for tunable in _of(values, Kind.POOL)}
    wire["caches"] = {tunable.name: {"ttlSeconds": _number(values[tunable])} for tunable in _of(values, Kind.CACHE)}
    if values.get(ADMISSION_MIN) and values.get(ADMISSION_MAX):
        wire["admission"] = {"min": int(values[ADMISSION_MIN]), "max": int(values[ADMISSION_MAX])}
        if values.get(ADMISSION_P95):
            wire["admission"]["p95Seconds"] = _number(values[ADMISSION_P95])
    return wire


def values_from_wire(wire: Mapping[str, Any]) -> Values:
    """The inverse; fields that this version does not know are left out.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: not values.
    """
    values: dict[Tunable, float] = {}
    if wire.get("workers") is not None:
        values[WORKERS] = int(wire["workers"])
    values |= {pool(name): int(size) for name, size in (wire.get("pools") or {}).items()}
    values |= {cache(name): _number(entry["ttlSeconds"]) for name, entry in (wire.get("caches") or {}).items()}
    admission = wire.get("admission") or {}
    if "min" in admission and "max" in admission:
        found = {tunable: admission.get(tunable.name) for tunable in (ADMISSION_MIN, ADMISSION_MAX, ADMISSION_P95)}
        values |= {tunable: _number(value) for tunable, value in found.items() if value is not None}
    return values


def tunable_to_wire(tunable: Tunable) -> str:
    """`workers`, `pools.NAME`, `caches.NAME` or `admission.NAME`."""
    if tunable.kind is Kind.ADMISSION:
        return str(tunable)
    return "workers" if tunable == WORKERS else f"{tunable.kind.value}s.{tunable.name}"


def tunable_from_wire(text: str) -> Tunable:
    """The inverse.

    Raises:
        ValueError: names no tunable.
    """
    kind, _, name = text.partition(".")
    makers: dict[str, Callable[[str], Tunable]] = {
        "pools": pool,
        "caches": cache,
        "admission": partial(Tunable, Kind.ADMISSION),
    }
    if text == "workers":
        return WORKERS
    if kind not in makers or not name:
        raise ValueError(f"{text!r} names no tunable: workers, pools.NAME, caches.NAME or admission.NAME")
    return makers[kind](name)


def change_to_wire(change: Change) -> dict[str, Any]:
    """`{"tunable": "pools.postgres", "old": 5, "new": 8}`; TTLs in seconds."""
    old = None if change.old is None else _number(change.old)
    return {"tunable": tunable_to_wire(change.tunable), "old": old, "new": _number(change.new)}


def change_from_wire(wire: Mapping[str, Any]) -> Change:
    """The inverse.

    Raises:
        ValueError, KeyError, TypeError: not a change.
    """
    old = wire.get("old")
    return Change(tunable_from_wire(wire["tunable"]), None if old is None else _number(old), _number(wire["new"]))


def _of(values: Values, kind: Kind) -> Iterator[Tunable]:
    return (tunable for tunable in sorted(values) if tunable.kind is kind)


def _number(value: float) -> float:
    """Whole numbers without a fraction: `60`, not `60.0`."""
    number = float(value)
    return int(number) if number.is_integer() else number
