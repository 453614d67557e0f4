"""A pod's `/state` → PodState, or its ack alone. Unknown fields are ignored, so that a newer runtime may add some."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

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
from paceline_operator.core.model.tunables import DESCRIPTORS, Kind, Tunable, Values, Wire
from paceline_operator.core.model.values import SECTIONS, entries, reported, tunable_to_wire, values_from_wire
from paceline_operator.errors import InvalidState
from paceline_operator.telemetry.reading import (
    LONGEST_TEXT,
    MOST_VALUE,
    count,
    histogram,
    items,
    listed,
    mapping,
    name,
    named,
    number,
    shown,
    text,
)

SCHEMA: Final = "paceline.dev/state/v1"
DOCUMENTS: Final = "tuning/v1"
MOST_GENERATION: Final = 2**63 - 1
MOST_BUCKETS: Final = 8192
"""Of all histograms of a report that are not empty: about a megabyte in the operator's memory."""

_Parsed = TypeVar("_Parsed")


def parse_state(wire: Mapping[str, Any]) -> PodState:
    """What the pod reports.

    Raises:
        InvalidState: a field is missing, of another shape, or no figure that can have been measured.
    """
    return _understood(wire, _parse)


def parse_ack(wire: Mapping[str, Any]) -> int | None:
    """The generation that the pod runs; None while anything of it is pending. Nothing else is looked at.

    Raises:
        InvalidState: a field is missing or of another shape.
    """
    return _understood(wire, _ack)


def _understood(wire: Mapping[str, Any], parse: Callable[[Mapping[str, Any]], _Parsed]) -> _Parsed:
    try:
        if wire["schema"] != SCHEMA:
            raise ValueError(f"schema {shown(wire['schema'])}, expected {SCHEMA!r}")
        return parse(wire)
    except KeyError as error:
        raise InvalidState(f"/state lacks the field {error}: does a runtime of this version serve it?") from error
    except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise InvalidState(f"/state is not as {SCHEMA} says: {f'{error}'[:LONGEST_TEXT]}") from error


def _ack(wire: Mapping[str, Any]) -> int | None:
    tuning = mapping(wire["tuning"], "tuning")
    generation = _generation(tuning)
    return None if tuning["pending"] else generation


def _generation(tuning: Mapping[str, Any]) -> int:
    return count(tuning["generation"], "tuning.generation", MOST_GENERATION)


def _parse(wire: Mapping[str, Any]) -> PodState:
    tuning, pools = mapping(wire["tuning"], "tuning"), _pools(wire["pools"])
    refused = mapping(tuning["refused"] or {}, "tuning.refused")
    clamped = listed(tuning["clamped"], "tuning.clamped")
    state = PodState(
        started_at=name(wire["startedAt"], "startedAt"),
        uptime_seconds=number(wire["uptimeSeconds"], "uptimeSeconds"),
        generation=_generation(tuning),
        digest=None if tuning["digest"] is None else name(tuning["digest"], "tuning.digest"),
        uid=name(mapping(wire.get("pod") or {}, "pod").get("uid") or "", "pod.uid"),
        pending=_texts(listed(tuning["pending"], "tuning.pending"), "tuning.pending"),
        understands=DOCUMENTS in items(wire["accepts"], "accepts"),
        clamped={name(entry["tunable"], "tuning.clamped"): _clamp(entry) for entry in clamped},
        unknown=_texts(listed(tuning["unknown"], "tuning.unknown"), "tuning.unknown"),
        refused_reason=name(refused["reason"], "tuning.refused.reason") if refused else None,
        refused_message=text(refused.get("message", ""), "tuning.refused.message"),
        values=_values(wire["values"], "values"),
        start_values=_values(wire["startValues"], "startValues"),
        requests=_groups(wire["requests"]),
        loop_lag=histogram(wire["loopLag"], "loopLag"),
        pools={each.name: counters for each, counters in pools.items() if each.kind is Kind.POOL},
        queues={each: counters for each, counters in pools.items() if each.kind is not Kind.POOL},
        caches={key: _cache(cache, f"caches.{key}") for key, cache in named(wire["caches"], "caches")},
        unregistered=_texts((entry["address"] for entry in listed(wire["unregistered"], "unregistered")), "address"),
        degraded=tuple(_degraded(entry) for entry in listed(wire.get("degraded") or [], "degraded")),
        cpu=_cpu(mapping(wire["cpu"], "cpu")),
        memory=_memory(mapping(wire["memory"], "memory")),
        open=sum(_open(worker) for worker in items(wire.get("workers") or [], "workers")),
        turned_away=count(mapping(wire.get("admission") or {}, "admission").get("rejected", 0), "admission.rejected"),
    )
    _require_few_buckets(state)
    return state


def _texts(found: Iterable[Any], where: str) -> tuple[str, ...]:
    return tuple(text(entry, where) for entry in found)


def _degraded(entry: Mapping[str, Any]) -> Degraded:
    return Degraded(text(entry["task"], "degraded.task"), text(entry["error"], "degraded.error"))


def _clamp(entry: Mapping[str, Any]) -> str:
    asked, granted = (number(entry[field], f"tuning.clamped.{field}") for field in ("asked", "granted"))
    return f"asked {asked:g}, granted {granted:g}, by {text(entry['by'], 'tuning.clamped.by')}"


def _values(wire: object, where: str) -> Values:
    """Every value in force; a status and a document can hold each of them."""
    found = mapping(wire, where)
    for section, kind in SECTIONS.items():
        descriptor, given = DESCRIPTORS[kind], found.get(section)
        if given is None:
            continue
        by_name = given if descriptor.wire is Wire.ONE else dict(named(given, f"{where}.{section}"))
        for key, value in entries(descriptor, by_name):
            read = count if descriptor.whole else number
            read(value, f"{where}.{tunable_to_wire(Tunable(kind, key))}", MOST_VALUE)
    if found.get("workers") == 0:
        raise ValueError(f"{where}.workers: 0, and a pod that reports has at least one")
    return values_from_wire(found)


def _groups(wire: object) -> Mapping[str, RequestCounters]:
    groups = items(wire, "requests")
    found = {name(group["group"], "requests.group"): _requests(group) for group in groups}
    if len(found) < len(groups):
        raise ValueError("requests: a group is there twice")
    return found


def _requests(group: Mapping[str, Any]) -> RequestCounters:
    where = f"requests.{shown(group['group'])}"
    return RequestCounters(
        count(group["count"], f"{where}.count"),
        count(group["errors"], f"{where}.errors"),
        histogram(group["duration"], f"{where}.duration"),
    )


def _open(worker: object) -> int:
    found = mapping(worker, "workers")
    return sum(count(found.get(field, 0), f"workers.{field}") for field in ("streams", "webSockets"))


def _pools(wire: object) -> Mapping[Tunable, PoolCounters]:
    return {reported("pools", pool["kind"], key): _pool(pool, f"pools.{key}") for key, pool in named(wire, "pools")}


def _pool(pool: Mapping[str, Any], where: str) -> PoolCounters:
    return PoolCounters(
        limit=count(pool["limit"], f"{where}.limit", MOST_VALUE),
        cap=count(pool["cap"], f"{where}.cap", MOST_VALUE),
        timeouts=count(pool["timeouts"], f"{where}.timeouts"),
        wait=histogram(pool["wait"], f"{where}.wait"),
        hold=histogram(pool["hold"], f"{where}.hold"),
        open=count(pool.get("open", 0), f"{where}.open"),
        server_limit=_server_limit(pool.get("serverMaxConnections"), f"{where}.serverMaxConnections"),
    )


def _server_limit(found: object, where: str) -> int | None:
    """A server that accepts nobody would not have said so."""
    return None if found is None else count(found, where, MOST_VALUE) or None


def _cache(cache: Mapping[str, Any], where: str) -> CacheCounters:
    ghosts = items(cache.get("ghosts", []), f"{where}.ghosts")
    return CacheCounters(
        ttl_seconds=number(cache["ttlSeconds"], f"{where}.ttlSeconds"),
        # A stale hit is served at once, but fetches all the same: what is asked of TTLs is to spare fetches.
        lookups=_lookups(cache, where, cache["staleHits"]),
        fetch=histogram(cache["fetch"], f"{where}.fetch"),
        ghosts={
            number(ghost["ttlSeconds"], f"{where}.ghosts"): _lookups(ghost, f"{where}.ghosts", 0) for ghost in ghosts
        },
    )


def _lookups(wire: Mapping[str, Any], where: str, stale: object) -> Lookups:
    misses = count(wire["misses"], f"{where}.misses") + count(stale, f"{where}.staleHits")
    return Lookups(count(wire["hits"], f"{where}.hits"), misses)


def _memory(memory: Mapping[str, Any]) -> PodMemory:
    limit, used, worker = (memory[field] for field in ("limitBytes", "usedBytes", "perWorkerBytes"))
    return PodMemory(
        None if limit is None else count(limit, "memory.limitBytes", MOST_GENERATION),
        count(used, "memory.usedBytes"),
        count(worker, "memory.perWorkerBytes"),
    )


def _cpu(cpu: Mapping[str, Any]) -> Cpu:
    limit, cores = cpu["limit"], cpu.get("cores")
    return Cpu(
        None if limit is None else number(limit, "cpu.limit"),
        number(cpu["usageSeconds"], "cpu.usageSeconds"),
        count(cpu["periods"], "cpu.periods"),
        count(cpu["throttledPeriods"], "cpu.throttledPeriods"),
        None if cores is None else count(cores, "cpu.cores"),
    )


def _require_few_buckets(state: PodState) -> None:
    found = [state.loop_lag, *(group.duration for group in state.requests.values())]
    found += [each for pool in (*state.pools.values(), *state.queues.values()) for each in (pool.wait, pool.hold)]
    found += [cache.fetch for cache in state.caches.values()]
    buckets = sum(len(each.buckets) for each in found)
    if buckets > MOST_BUCKETS:
        raise ValueError(f"{buckets} buckets in all histograms, at most {MOST_BUCKETS} are read")
