from typing import Any

from paceline.serve.agent.totals import MAX_KNOWN, MAX_NAMED, add_up, known_groups, named_groups, retire
from paceline.telemetry.histogram import Histogram


def histogram(*values: float) -> dict[str, Any]:
    recorded = Histogram()
    for value in values:
        recorded.record(value)
    return recorded.to_json()


def report(count: int, group: str = "GET /", in_use: int = 2, **pool: Any) -> dict[str, Any]:
    durations = histogram(*[0.01] * count)
    return {
        "requests": [{"group": group, "count": count, "errors": 1, "duration": durations}],
        "loopLag": histogram(0.001),
        "pools": {
            "postgres": {
                "kind": "asyncpg", "limit": 5, "cap": 40, "inUse": in_use, "open": 4, "waiting": 1, "timeouts": 3,
                "wait": histogram(0.2), "hold": histogram(0.1, 0.3), "serverMaxConnections": None, **pool,
            }
        },
        "caches": {"responses": {"ttlSeconds": 60, "hits": 5, "misses": 2, "staleHits": 1, "fetch": histogram(0.5),
                                 "ghosts": [{"ttlSeconds": 300, "hits": 6, "misses": 1}]}},
    }  # fmt: skip


def test_counters_histograms_and_gauges_add_up_over_workers() -> None:
    totals = add_up([report(3), report(4, limit=8, cap=30, serverMaxConnections=100)], ["GET /"])
    (requests,) = totals["requests"]
    assert (requests["count"], requests["errors"], requests["duration"]["count"]) == (7, 2, 7)
    assert totals["loopLag"]["count"] == 2
    pool = totals["pools"]["postgres"]
    expected = {"limit": 8, "cap": 30, "inUse": 4, "open": 8, "waiting": 2, "timeouts": 6, "serverMaxConnections": 100}
    assert {key: pool[key] for key in expected} == expected
    assert (pool["wait"]["count"], pool["hold"]["count"]) == (2, 4)
    cache = totals["caches"]["responses"]
    assert (cache["hits"], cache["misses"], cache["staleHits"], cache["fetch"]["count"]) == (10, 4, 2, 2)


def test_failing_tasks_are_named_with_their_worker_as_long_as_it_lives() -> None:
    entry = {"task": "tuning", "error": "PoolError: no", "since": "2026-11-30T00:00:00+00:00"}
    ill = {**report(1), "pid": 8, "degraded": [entry]}
    earlier = {**report(1), "pid": 9, "degraded": [{**entry, "since": "2026-11-29T00:00:00+00:00"}]}
    degraded = add_up([report(1), ill, earlier], [])["degraded"]
    assert [each["pid"] for each in degraded] == [9, 8]
    assert degraded[1] == {**entry, "pid": 8}
    assert retire([ill], [])["degraded"] == []


def test_ghosts_add_up_by_ttl() -> None:
    other = report(4)
    other["caches"]["responses"]["ghosts"] = [{"ttlSeconds": t, "hits": 1, "misses": 0} for t in (5, 300)]
    totals = add_up([retire([report(3)], ["GET /"]), other], ["GET /"])
    assert totals["caches"]["responses"]["ghosts"] == [
        {"ttlSeconds": 5, "hits": 1, "misses": 0},
        {"ttlSeconds": 300, "hits": 7, "misses": 1},
    ]


def admission(limit: int | None, **more: Any) -> dict[str, Any]:
    entry = {"limit": limit, "min": 2, "max": 40, "inFlight": 3, "rejected": 5, "braked": 1, "reason": "growth", **more}
    return {"admission": entry}


def test_admission_adds_up_and_is_explained_by_the_tightest_worker() -> None:
    reports = [admission(20), admission(8, reason="brake"), {"admission": None}]
    assert add_up(reports, [])["admission"] == {
        "limit": 28, "min": 2, "max": 40, "inFlight": 6, "rejected": 10, "braked": 2, "reason": "brake",
    }  # fmt: skip
    assert add_up([{"admission": None}, {}], [])["admission"] is None


def test_of_a_retired_worker_what_it_turned_away_stays_and_its_limit_goes() -> None:
    retired = retire([admission(20)], [])
    assert retired["admission"]["limit"] is None
    totals = add_up([retired, admission(8)], [])["admission"]
    assert (totals["limit"], totals["inFlight"], totals["rejected"]) == (8, 3, 10)
    assert add_up([retired], [])["admission"]["rejected"] == 5, "nor do counters go back once it is off"


def test_of_a_retired_worker_counters_stay_and_nothing_is_in_use() -> None:
    pool = add_up([retire([report(3)], ["GET /"]), report(4)], ["GET /"])["pools"]["postgres"]
    assert (pool["inUse"], pool["open"], pool["waiting"]) == (2, 4, 1)
    assert (pool["timeouts"], pool["hold"]["count"]) == (6, 4)


def test_without_any_report_everything_is_empty() -> None:
    totals = add_up([], [])
    assert totals["requests"] == []
    assert totals["loopLag"]["count"] == 0
    assert totals["pools"] == totals["caches"] == {}


def test_connections_to_unregistered_addresses_add_up() -> None:
    elsewhere = {"unregistered": [{"address": "10.0.0.9:5432", "connections": 2}]}
    assert add_up([elsewhere, elsewhere], [])["unregistered"] == [{"address": "10.0.0.9:5432", "connections": 4}]


def test_groups_keep_their_place_and_new_ones_follow_the_busiest_first() -> None:
    first = known_groups((), [report(1, f"GET /{number}") for number in range(6)])
    both = known_groups(first, [report(1, "GET /9"), report(5, "GET /8"), report(7, "GET /5"), report(1, "GET /9")])
    assert both == (*first, "GET /8", "GET /9")


def test_state_names_eight_routes_and_adds_up_the_others() -> None:
    reports = [report(number, f"GET /{number}") for number in range(1, 14)]
    known = known_groups((), reports)
    totals = add_up(reports, named_groups(known))["requests"]
    counts = {entry["group"]: entry["count"] for entry in totals}
    assert len(known) == 13
    assert counts == {**{f"GET /{number}": number for number in range(6, 14)}, "other": 1 + 2 + 3 + 4 + 5}


def test_requests_that_no_route_took_use_up_no_name() -> None:
    methods = ("GET", "PUT", "POST", "HEAD", "PATCH", "TRACE", "DELETE", "OPTIONS", "_OTHER")
    known = known_groups((), [report(9, f"{method} other") for method in methods])
    known = known_groups(known, [report(1, f"GET /{number}") for number in range(MAX_NAMED)])
    assert set(named_groups(known)) == {f"GET /{number}" for number in range(MAX_NAMED)}


def test_an_application_that_makes_routes_up_is_bounded_and_what_no_route_took_is_told_apart() -> None:
    known = known_groups((), [report(1, f"GET /users/{number}") for number in range(MAX_KNOWN + 5)])
    assert len(known) == MAX_KNOWN
    known = known_groups(known, [report(1, "GET /one-more"), report(1, "GET other")])
    assert known[MAX_KNOWN:] == ("GET other",)


def test_methods_that_routes_do_not_have_use_up_no_name() -> None:
    made_up = [f"_OTHER /{number}" for number in range(MAX_NAMED)]
    assert named_groups([*made_up, "GET /real"]) == ("GET /real",)
