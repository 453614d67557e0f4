"""A trace says where the time of a request went: as spans of a drawn one, as attributes of a slow one."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from collector import Collector, ReceivedSpan, StartCollector
from serving import Served, StartPod, eventually

SLOW = {"PACELINE_TRACE_SLOW": 0.3}


@pytest.fixture
def start_slow(start_traced: StartPod, postgres_dsn: str) -> Any:
    """Starts the application, and one that it calls, which traces to the same collector."""

    def start(collector: Collector, **settings: object) -> Served:
        upstream = start_traced(collector.endpoint, PACELINE_TRUSTED_PROXIES="127.0.0.1", OTEL_SERVICE_NAME="users")
        return start_traced(
            collector.endpoint,
            target="slow_moments:app",
            DATABASE=postgres_dsn,
            UPSTREAM=f"http://127.0.0.1:{upstream.port}",
            OTEL_SERVICE_NAME="shop",
            **{**SLOW, **settings},
        )

    return start


@pytest.mark.parametrize(
    ("path", "route", "cause"),
    [
        ("/database", "/database", "pool postgres: held a connection for "),
        ("/blocking", "/blocking", "event loop: blocked for "),
        ("/httpx", "/httpx", "upstream users: took "),
        ("/aiohttp", "/aiohttp", "upstream orders: took "),
        ("/cache/1", "/cache/{number}", "cache prices: fetched for "),
    ],
)
def test_a_slow_request_that_was_not_drawn_names_its_cause(
    path: str, route: str, cause: str, start_collector: StartCollector, start_slow: Any
) -> None:
    collector = start_collector()
    pod = start_slow(collector, PACELINE_TRACE_RATIO=0)
    assert pod.get(path)[0] == 200
    span = eventually(lambda: collector.named(f"GET {route}"), "the slow request")[0]
    assert span.attributes["paceline.sampled"] is False
    assert span.attributes["paceline.slow_because"].startswith(cause)


def test_who_waits_for_a_connection_says_so(start_collector: StartCollector, start_slow: Any) -> None:
    collector = start_collector()
    pod = start_slow(collector, PACELINE_TRACE_RATIO=0)
    with ThreadPoolExecutor(4) as threads:
        assert [status for status, _ in threads.map(pod.get, ["/database"] * 4)] == [200] * 4
    spans = eventually(lambda: len(found := collector.named("GET /database")) == 4 and found, "four slow requests")
    causes = [span.attributes["paceline.slow_because"] for span in spans]
    assert sum(cause.startswith("pool postgres: waited ") for cause in causes) == 3, causes
    longest = max(spans, key=lambda span: span.seconds)
    assert longest.attributes["paceline.wait.postgres"] > 1.0
    assert longest.attributes["paceline.hold.postgres"] > 0.39


def test_a_drawn_request_has_a_span_for_each_step(start_collector: StartCollector, start_slow: Any) -> None:
    collector = start_collector()
    pod = start_slow(collector, PACELINE_TRACE_RATIO=1)
    for path in ("/database", "/cache/2", "/cache/2", "/httpx", "/aiohttp", "/quick"):
        assert pod.get(path)[0] == 200
    eventually(lambda: collector.named("GET /quick"), "the last request")
    eventually(lambda: len(collector.named("GET /working/{milliseconds}")) == 2, "those of the upstream")

    [hold] = below(collector, "GET /database")
    assert (hold.name, hold.attributes) == ("postgres hold", {"db.client.connection.pool.name": "postgres"})
    lookups = [below(collector, "GET /cache/{number}", number) for number in (0, 1)]
    assert [[span.name for span in each] for each in lookups] == [["prices lookup"], ["prices lookup"]]
    outcomes = [each[0].attributes["paceline.cache.outcome"] for each in lookups]
    assert outcomes == ["miss", "hit"]
    [fetch] = children(collector, lookups[0][0])
    assert (fetch.name, fetch.seconds >= 0.39) == ("prices fetch", True)
    for name, pool in (("GET /httpx", "users"), ("GET /aiohttp", "orders")):
        [call] = below(collector, name)
        assert (call.name, call.attributes["paceline.pool"]) == ("GET", pool)
        assert call.attributes["server.address"] == "127.0.0.1"
        [served] = children(collector, call)
        assert (served.name, served.resource["service.name"]) == ("GET /working/{milliseconds}", "users")
    assert below(collector, "GET /quick") == []


def below(collector: Collector, name: str, number: int = 0) -> list[ReceivedSpan]:
    return children(collector, collector.named(name)[number])


def children(collector: Collector, span: ReceivedSpan) -> list[ReceivedSpan]:
    return [each for each in collector.spans if (each.trace_id, each.parent_id) == (span.trace_id, span.span_id)]
