"""Adds up workers' reports into one pod's measures. Pure.

Counters and histograms add; gauges add over living workers only. `retire` turns a dead worker's report into what stays
of it, so that a pod's counters never go back.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from paceline.telemetry import OTHER, OTHER_METHOD
from paceline.telemetry.histogram import merge

Report = Mapping[str, Any]

MAX_NAMED = 8
"""Route groups that `/state` shows by name unless it is asked for others."""
MAX_KNOWN = 2000
"""Route groups that a pod counts by name in its life."""
ANY = "*"
"""Any text, in a pattern of request groups."""
_MAX_ADDRESSES = 16
_MAX_DEGRADED = 16
_POOL_GAUGES = ("inUse", "open", "waiting")
_POOL_HISTOGRAMS = ("wait", "hold")
_CACHE_COUNTERS = ("hits", "misses", "staleHits")
_OUTCOMES = ("clientDisconnects", "backgroundFailures")
_SPAN_COUNTERS = ("exported", "dropped")


def add_up(reports: Sequence[Report], groups: Sequence[str], asked: Sequence[str] = ()) -> dict[str, Any]:
    """The measures of `/state` over all reports, the oldest first: `requests`, `loopLag`, `pools` and so on.

    Args:
        reports: of workers.
        groups: request groups that are shown by name; all others are added to `other`.
        asked: groups, and patterns that add up all that they match, which come first: a group that is named here, then
            one that the first pattern matches.
    """
    return {
        "requests": _requests(reports, groups, asked),
        "loopLag": merge(report["loopLag"] for report in reports if "loopLag" in report),
        "pools": {name: _pool(entries) for name, entries in _by_name(reports, "pools").items()},
        "caches": {name: _cache(entries) for name, entries in _by_name(reports, "caches").items()},
        "admission": _admission([report["admission"] for report in reports if report.get("admission")]),
        "unregistered": _unregistered(reports),
        "degraded": _degraded(reports),
        "outcomes": {key: sum(report.get("outcomes", {}).get(key, 0) for report in reports) for key in _OUTCOMES},
        "spans": {key: sum(report.get("spans", {}).get(key, 0) for report in reports) for key in _SPAN_COUNTERS},
    }


def retire(reports: Sequence[Report], groups: Sequence[str]) -> dict[str, Any]:
    """What stays of workers that are gone: counters and histograms, but nothing in use."""
    totals = add_up(reports, groups)
    for pool in totals["pools"].values():
        pool.update(dict.fromkeys(_POOL_GAUGES, 0))
    if totals["admission"]:
        totals["admission"].update({"limit": None, "inFlight": 0})
    totals["unregistered"] = []
    totals["degraded"] = []
    return totals


def known_groups(known: Sequence[str], reports: Iterable[Report]) -> tuple[str, ...]:
    """The request groups that are counted by name: those known keep their place, new ones follow, the busiest first.

    A name is never taken back, so no counter goes back, whatever the ranking does later.
    """
    counts: Counter[str] = Counter()
    for entry in (entry for report in reports for entry in report.get("requests", ())):
        counts[entry["group"]] += entry["count"]
    taken = frozenset(known)
    fresh = [name for name, _ in counts.most_common() if name != OTHER and name not in taken]
    room = max(0, MAX_KNOWN - len(known))
    # What no route took is a few names, and has one even where an application makes routes up without end.
    return (*known, *fresh[:room], *(name for name in fresh[room:] if is_unrouted(name)))


def named_groups(known: Sequence[str]) -> tuple[str, ...]:
    """Those that `/state` shows by name: the first that are routes. Requests that no route took use up no name, nor do
    methods that a route does not have."""
    return tuple(name for name in known if not (is_unrouted(name) or name.startswith(f"{OTHER_METHOD} ")))[:MAX_NAMED]


def is_unrouted(group: str) -> bool:
    """Whether it is what no route took, or more routes than have names: `GET other`, `other`."""
    return group == OTHER or group.endswith(f" {OTHER}")


def matches(pattern: str, group: str) -> bool:
    """Whether `*`, which stands for any text, makes the pattern the group. Takes time in proportion to their length."""
    first, *rest = pattern.split(ANY)
    if not rest:
        return group == pattern
    if not group.startswith(first):
        return False
    place = len(first)
    for part in rest[:-1]:
        found = group.find(part, place)
        if found < 0:
            return False
        place = found + len(part)
    return group.endswith(rest[-1]) and len(group) - len(rest[-1]) >= place


def _requests(reports: Sequence[Report], groups: Sequence[str], asked: Sequence[str]) -> list[dict[str, Any]]:
    counted = [entry for report in reports for entry in report.get("requests", ())]
    named, first, patterns = frozenset(groups), frozenset(asked), [each for each in asked if ANY in each]
    shown = {group: _shown(group, named, first, patterns) for group in {entry["group"] for entry in counted}}
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for entry in counted:
        entries.setdefault(shown[entry["group"]], []).append(entry)
    return [
        {
            "group": group,
            "count": sum(entry["count"] for entry in same),
            "errors": sum(entry["errors"] for entry in same),
            "duration": merge(entry["duration"] for entry in same),
        }
        for group, same in entries.items()
    ]


def exemplars(reports: Sequence[Report], groups: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    """Requests that have a trace, by the group that they are shown by, the oldest first."""
    named = frozenset(groups)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for group, told in (each for report in reports for each in report.get("exemplars", {}).items()):
        found.setdefault(_shown(group, named, (), ()), []).extend(told)
    return {group: sorted(told, key=lambda each: float(each["time"])) for group, told in found.items()}


def _shown(group: str, named: Container[str], first: Container[str], patterns: Sequence[str]) -> str:
    """The name that a request group is counted under."""
    if group in first:
        return group
    pattern = next((pattern for pattern in patterns if matches(pattern, group)), None)
    return pattern or (group if group in named else OTHER)


def _by_name(reports: Sequence[Report], key: str) -> dict[str, list[Mapping[str, Any]]]:
    entries: dict[str, list[Mapping[str, Any]]] = {}
    for report in reports:
        for name, entry in report.get(key, {}).items():
            entries.setdefault(name, []).append(entry)
    return entries


def _pool(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    servers = [entry["serverMaxConnections"] for entry in entries if entry.get("serverMaxConnections") is not None]
    return {
        "kind": entries[-1]["kind"],
        "limit": entries[-1]["limit"],
        "cap": min(entry["cap"] for entry in entries),
        "timeouts": sum(entry["timeouts"] for entry in entries),
        "serverMaxConnections": min(servers, default=None),
        **{key: sum(entry[key] for entry in entries) for key in _POOL_GAUGES},
        **{key: merge(entry[key] for entry in entries) for key in _POOL_HISTOGRAMS},
    }


def _cache(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {
        "ttlSeconds": entries[-1]["ttlSeconds"],
        **{key: sum(entry[key] for entry in entries) for key in _CACHE_COUNTERS},
        "fetch": merge(entry["fetch"] for entry in entries),
        "ghosts": _ghosts(entries),
    }


def _ghosts(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    counts: dict[float, list[int]] = {}
    for ghost in (ghost for entry in entries for ghost in entry.get("ghosts", ())):
        found = counts.setdefault(ghost["ttlSeconds"], [0, 0])
        found[0] += ghost["hits"]
        found[1] += ghost["misses"]
    return [{"ttlSeconds": ttl, "hits": hits, "misses": misses} for ttl, (hits, misses) in sorted(counts.items())]


def _admission(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    if not entries:
        return None
    limiting = [entry for entry in entries if entry["limit"] is not None]
    tightest = min(limiting, key=lambda entry: int(entry["limit"]), default=entries[-1])
    return {
        "limit": sum(entry["limit"] for entry in limiting) if limiting else None,
        **{key: tightest[key] for key in ("min", "max", "reason")},
        **{key: sum(entry[key] for entry in entries) for key in ("inFlight", "rejected", "braked")},
    }


def _degraded(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Background tasks that fail, those that began first; `pid` names the worker."""
    entries = [{**entry, "pid": report.get("pid")} for report in reports for entry in report.get("degraded", ())]
    return sorted(entries, key=lambda entry: str(entry["since"]))[:_MAX_DEGRADED]


def _unregistered(reports: Sequence[Report]) -> list[dict[str, Any]]:
    connections: dict[str, int] = {}
    for entry in (entry for report in reports for entry in report.get("unregistered", ())):
        connections[entry["address"]] = connections.get(entry["address"], 0) + entry["connections"]
    most = sorted(connections.items(), key=lambda entry: -entry[1])[:_MAX_ADDRESSES]
    return [{"address": address, "connections": count} for address, count in most]
