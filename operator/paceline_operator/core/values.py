"""Values and changes in the form that documents, `/state` and status share: `{"workers", "pools", "caches"}`."""

from collections.abc import Iterator, Mapping
from typing import Any

from paceline_operator.core.model import WORKERS, Change, Kind, Tunable, Values, cache, pool


def values_to_wire(values: Values) -> dict[str, Any]:
    """`{"workers": 4, "pools": {"postgres": 8}, "caches": {"responses": {"ttlSeconds": 60}}}`."""
    wire: dict[str, Any] = {"workers": int(values[WORKERS])} if WORKERS in values else {}
    wire["pools"] = {tunable.name: int(values[tunable]) for tunable in _of(values, Kind.POOL)}
    wire["caches"] = {tunable.name: {"ttlSeconds": _number(values[tunable])} for tunable in _of(values, Kind.CACHE)}
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
    return values


def tunable_to_wire(tunable: Tunable) -> str:
    """`workers`, `pools.NAME` or `caches.NAME`."""
    return "workers" if tunable == WORKERS else f"{tunable.kind.value}s.{tunable.name}"


def tunable_from_wire(text: str) -> Tunable:
    """The inverse.

    Raises:
        ValueError: names no tunable.
    """
    kind, _, name = text.partition(".")
    makers = {"pools": pool, "caches": cache}
    if text == "workers":
        return WORKERS
    if kind not in makers or not name:
        raise ValueError(f"{text!r} names no tunable: workers, pools.NAME or caches.NAME")
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
