from typing import Any

import pytest
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.metrics import BOUNDARIES, METRICS, StateCollector, buckets
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families


def histogram(*values: float) -> dict[str, Any]:
    recorded = Histogram()
    for value in values:
        recorded.record(value)
    return recorded.to_json()


@pytest.fixture
def state() -> dict[str, Any]:
    pool = {"kind": "asyncpg", "limit": 8, "cap": 40, "inUse": 3, "open": 5, "waiting": 2, "timeouts": 1}
    cache = {"ttlSeconds": 60.0, "hits": 9, "misses": 4, "staleHits": 2, "fetch": histogram(0.2)}
    return {
        "values": {"workers": 4},
        "workers": [{"ready": True, "draining": False}, {"ready": False, "draining": False}],
        "requests": [
            {"group": "GET /products", "count": 3, "errors": 1, "duration": histogram(0.004, 0.02, 3)},
            {"group": "other", "count": 1, "errors": 0, "duration": histogram(0.1)},
        ],
        "loopLag": histogram(0.001),
        "pools": {
            "postgres": {**pool, "wait": histogram(), "hold": histogram(0.01)},
            "tiles": {**pool, "kind": "processes", "limit": 4, "wait": histogram(0.1), "hold": histogram(2)},
        },
        "caches": {"responses": cache},
        "tuning": {
            "generation": 17,
            "pending": ["x"],
            "clamped": [1, 2],
            "unknown": [],
            "refused": {"reason": "OlderGeneration"},
        },
        "spans": {"exported": 700, "dropped": 6},
        "admission": {"limit": 64, "min": 2, "max": 40, "inFlight": 31, "rejected": 12, "braked": 3, "reason": "brake"},
        "restarts": 5,
    }


def samples(state: dict[str, Any]) -> dict[tuple[str, tuple[str, ...]], float]:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(StateCollector(lambda: state))
    families = text_string_to_metric_families(generate_latest(registry).decode())
    return {(s.name, tuple(s.labels.values())): s.value for family in families for s in family.samples}


def test_every_row_says_what_state_says(state: dict[str, Any]) -> None:
    read = samples(state)
    expected = {
        ("paceline_workers", ("ready",)): 1,
        ("paceline_workers", ("starting",)): 1,
        ("paceline_workers", ("draining",)): 0,
        ("paceline_workers_wanted", ()): 4,
        ("paceline_worker_restarts_total", ()): 5,
        ("paceline_spans_exported_total", ()): 700,
        ("paceline_admission_limit", ()): 64,
        ("paceline_admission_in_flight", ()): 31,
        ("paceline_admission_rejected_total", ()): 12,
        ("paceline_admission_braked_total", ()): 3,
        ("paceline_spans_dropped_total", ()): 6,
        ("paceline_generation", ()): 17,
        ("paceline_pending", ()): 1,
        ("paceline_clamped", ()): 2,
        ("paceline_unknown", ()): 0,
        ("paceline_refused", ("OlderGeneration",)): 1,
        ("paceline_request_errors_total", ("GET", "/products")): 1,
        ("http_server_request_duration_seconds_count", ("GET", "/products")): 3,
        ("http_server_request_duration_seconds_count", ("_OTHER", "other")): 1,
        ("db_client_connection_max", ("postgres",)): 8,
        ("db_client_connection_count", ("postgres", "used")): 3,
        ("db_client_connection_count", ("postgres", "idle")): 2,
        ("db_client_connection_pending_requests", ("postgres",)): 2,
        ("db_client_connection_timeouts_total", ("postgres",)): 1,
        ("db_client_connection_use_time_seconds_count", ("postgres",)): 1,
        ("paceline_cache_lookups_total", ("responses", "hit")): 9,
        ("paceline_cache_lookups_total", ("responses", "miss")): 4,
        ("paceline_cache_lookups_total", ("responses", "stale")): 2,
        ("paceline_cache_ttl_seconds", ("responses",)): 60,
        ("paceline_cache_fetch_seconds_count", ("responses",)): 1,
        ("paceline_event_loop_lag_seconds_count", ()): 1,
    }
    assert {key: read.get(key) for key in expected} == expected


def test_processes_are_no_connections(state: dict[str, Any]) -> None:
    read = samples(state)
    expected = {
        ("paceline_process_pool_limit", ("tiles",)): 4,
        ("paceline_process_pool_calls", ("tiles", "running")): 3,
        ("paceline_process_pool_calls", ("tiles", "waiting")): 2,
        ("paceline_process_pool_refused_total", ("tiles",)): 1,
        ("paceline_process_pool_wait_seconds_count", ("tiles",)): 1,
        ("paceline_process_pool_run_seconds_count", ("tiles",)): 1,
    }
    assert {key: read.get(key) for key in expected} == expected
    assert not [name for name, labels in read if name.startswith("db_client") and "tiles" in labels]
    assert not [name for name, labels in read if name.startswith("paceline_process") and "postgres" in labels]


@pytest.mark.parametrize("off", [None, {"limit": None, "inFlight": 0, "rejected": 12, "braked": 0}])
def test_where_nothing_is_limited_there_is_no_limit(state: dict[str, Any], off: dict[str, Any] | None) -> None:
    read = samples({**state, "admission": off})
    assert ("paceline_admission_limit", ()) not in read
    assert read.get(("paceline_admission_rejected_total", ())) == (12 if off else None)


def test_names_are_unique_and_no_label_is_a_pid_or_a_path() -> None:
    assert len({row.name for row in METRICS}) == len(METRICS)
    labels = {label for row in METRICS for label in row.labels}
    assert not labels & {"pid", "worker", "path", "url", "pod"}


def test_buckets_are_cumulative_and_hold_what_was_recorded() -> None:
    read = dict(buckets(histogram(0.0, 0.0004, 0.02, 3, 60)))
    assert read == {
        **{str(boundary): 2.0 for boundary in BOUNDARIES if boundary < 0.02},
        **{str(boundary): 3.0 for boundary in BOUNDARIES if 0.02 < boundary < 3},
        **{str(boundary): 4.0 for boundary in BOUNDARIES if boundary > 3},
        "+Inf": 5.0,
    }


def test_a_bucket_across_a_boundary_counts_above_it() -> None:
    assert dict(buckets(histogram(0.0099)))["0.01"] == 0
    assert dict(buckets(histogram(0.0096)))["0.01"] == 1


def test_a_bucket_shows_the_latest_trace_in_it(state: dict[str, Any]) -> None:
    told = [{"traceId": each * 32, "seconds": 0.02, "time": at} for at, each in enumerate("ab")]
    (families,) = (
        family
        for family in StateCollector(lambda: state, lambda: {"GET /products": told}).collect()
        if family.name == "http_server_request_duration_seconds"
    )
    shown = [sample for sample in families.samples if sample.exemplar]
    assert [(each.labels["le"], each.labels["http_route"]) for each in shown] == [("0.025", "/products")]
    assert shown[0].exemplar is not None
    assert shown[0].exemplar.labels == {"trace_id": "b" * 32}
