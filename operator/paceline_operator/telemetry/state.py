"""A pod's `/state` → PodState, or its ack alone. Unknown fields are ignored, so that a newer runtime may add some."""

from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final, TypeVar

from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.pods import (
    CacheCounters,
    Cpu,
    Degraded,
    Lookups,
    PodMemory,
    PodState,
    PoolCounters,
    RequestCounters,
)
from paceline_operator.core.model.values import values_from_wire
from paceline_operator.errors import InvalidState

SCHEMA: Final = "paceline.dev/state/v1"
DOCUMENTS: Final = "tuning/v1"
PER_POD: Final = "processes"
"""`kind` of the pools whose size counts per pod: a law of connections per worker says nothing of them."""

_Parsed = TypeVar("_Parsed")


def parse_state(wire: Mapping[str, Any]) -> PodState:
    """What the pod reports.

    Raises:
        InvalidState: a field is missing or of another shape.
    """
    return _understood(wire, _parse)


def parse_ack(wire: Mapping[str, Any]) -> int | None:
    """The generation that the pod runs; None while anything of it is pending. Nothing else of the answer is looked at.

    Raises:
        InvalidState: a field is missing or of another shape.
    """
    return _understood(wire, _ack)


def _understood(wire: Mapping[str, Any], parse: Callable[[Mapping[str, Any]], _Parsed]) -> _Parsed:
    try:
        if wire["schema"] != SCHEMA:
            raise ValueError(f"schema {wire['schema']!r}, expected {SCHEMA!r}")
        return parse(wire)
    except KeyError as error:
        raise InvalidState(f"/state lacks the field {error}: does a runtime of this version answer there?") from error
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidState(f"/state is not as {SCHEMA} says: {error}") from error


def _ack(wire: Mapping[str, Any]) -> int | None:
    return None if wire["tuning"]["pending"] else int(wire["tuning"]["generation"])


def _parse(wire: Mapping[str, Any]) -> PodState:
    tuning = wire["tuning"]
    refused = tuning["refused"] or {}
    return PodState(
        started_at=str(wire["startedAt"]),
        uptime_seconds=_number(wire["uptimeSeconds"]),
        generation=int(tuning["generation"]),
        digest=tuning["digest"],
        uid=str((wire.get("pod") or {}).get("uid") or ""),
        pending=tuple(tuning["pending"]),
        understands=DOCUMENTS in wire["accepts"],
        clamped={entry["tunable"]: _clamp(entry) for entry in tuning["clamped"]},
        unknown=tuple(tuning["unknown"]),
        refused_reason=refused.get("reason"),
        refused_message=refused.get("message", ""),
        values=values_from_wire(wire["values"]),
        start_values=values_from_wire(wire["startValues"]),
        requests={group["group"]: _requests(group) for group in wire["requests"]},
        loop_lag=Histogram.from_wire(wire["loopLag"]),
        pools={name: _pool(pool) for name, pool in wire["pools"].items() if pool["kind"] != PER_POD},
        per_pod=frozenset(name for name, pool in wire["pools"].items() if pool["kind"] == PER_POD),
        caches={name: _cache(cache) for name, cache in wire["caches"].items()},
        unregistered=tuple(entry["address"] for entry in wire["unregistered"]),
        degraded=tuple(Degraded(str(entry["task"]), str(entry["error"])) for entry in wire.get("degraded") or ()),
        cpu=_cpu(wire["cpu"]),
        memory=_memory(wire["memory"]),
        turned_away=int((wire.get("admission") or {}).get("rejected", 0)),
    )


def _clamp(entry: Mapping[str, Any]) -> str:
    return f"asked {entry['asked']:g}, granted {entry['granted']:g}, by {entry['by']}"


def _requests(group: Mapping[str, Any]) -> RequestCounters:
    return RequestCounters(int(group["count"]), int(group["errors"]), Histogram.from_wire(group["duration"]))


def _pool(pool: Mapping[str, Any]) -> PoolCounters:
    return PoolCounters(
        limit=int(pool["limit"]),
        cap=int(pool["cap"]),
        timeouts=int(pool["timeouts"]),
        wait=Histogram.from_wire(pool["wait"]),
        hold=Histogram.from_wire(pool["hold"]),
    )


def _cache(cache: Mapping[str, Any]) -> CacheCounters:
    return CacheCounters(
        ttl_seconds=_number(cache["ttlSeconds"]),
        # A stale hit answers at once, but fetches all the same: what is asked of TTLs is to spare fetches.
        lookups=Lookups(int(cache["hits"]), int(cache["misses"]) + int(cache["staleHits"])),
        fetch=Histogram.from_wire(cache["fetch"]),
        ghosts={
            _number(ghost["ttlSeconds"]): Lookups(int(ghost["hits"]), int(ghost["misses"]))
            for ghost in cache.get("ghosts", ())
        },
    )


def _memory(memory: Mapping[str, Any]) -> PodMemory:
    limit = memory["limitBytes"]
    return PodMemory(None if limit is None else int(limit), int(memory["usedBytes"]), int(memory["perWorkerBytes"]))


def _cpu(cpu: Mapping[str, Any]) -> Cpu:
    limit = cpu["limit"]
    return Cpu(
        None if limit is None else _number(limit),
        _number(cpu["usageSeconds"]),
        int(cpu["periods"]),
        int(cpu["throttledPeriods"]),
    )


def _number(value: Any) -> float:
    number = float(value)
    if not isfinite(number) or number < 0:
        raise ValueError(f"{value!r} is no measurement")
    return number
