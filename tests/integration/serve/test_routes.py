"""What a pod counts of its routes is exact for any number of workers, and clients cannot use names up."""

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from paceline.serve.rundir import write_atomically
from prometheus_client.parser import text_string_to_metric_families
from serving import Served, eventually, pod

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def ask(served: Served, method: str, path: str) -> int:
    """One request on a connection of its own, so that any worker may take it."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    try:
        connection.request(method, path)
        return connection.getresponse().status
    finally:
        connection.close()


def in_metrics(served: Served) -> dict[str, int]:
    text = served.get("/metrics", served.management_port)[1].decode()
    found = {}
    for family in text_string_to_metric_families(text):
        if family.name == "http_server_request_duration_seconds":
            for sample in family.samples:
                if sample.name.endswith("_count"):
                    found[f"{sample.labels['http_request_method']} {sample.labels['http_route']}"] = int(sample.value)
    return found


def in_state(served: Served, *routes: str) -> dict[str, int]:
    query = "&".join(f"route={quote(route)}" for route in routes)
    state: dict[str, Any] = orjson.loads(served.get(f"/state?{query}", served.management_port)[1])
    return {row["group"]: row["count"] for row in state["requests"]}


def test_all_routes_are_counted_and_unknown_paths_and_methods_use_up_no_name(tmp_path: Path) -> None:
    document = tmp_path / "tuning.json"
    with pod(tmp_path, "many_routes:app", workers=2, tuning_file=document) as served:
        for method in METHODS:
            ask(served, method, "/nobody-serves-this")
        for number in range(13):
            for each in range(20):
                assert ask(served, "GET", f"/route{number}/{each}") == 200
        for version in ("v1", "v2", "v2"):
            assert ask(served, "GET", f"/{version}/users/7") == 200
        total = len(METHODS) + 13 * 20 + 3
        eventually(lambda: sum(in_metrics(served).values()) == total, "everything is counted")
        counted, shown = in_metrics(served), in_state(served)
        assert {name: counted[name] for name in counted if "/route" in name} == {
            f"GET /route{number}/{{id}}": 20 for number in range(13)
        }
        assert (counted["GET /v1/users/{id}"], counted["GET /v2/users/{id}"]) == (1, 2)
        assert len(shown) == 8 + 1
        assert sum(shown.values()) == total
        assert all(name.startswith("GET /") for name in shown if name != "other")
        excluded = in_state(served, "GET /v2/users/{id}")
        assert (excluded["GET /v2/users/{id}"], excluded["other"]) == (2, shown["other"] - 2)
        for each in range(100):
            ask(served, "GET", f"/v2/users/{each}")
        eventually(lambda: sum(in_metrics(served).values()) == total + 100, "the ranking has changed")
        after = in_state(served)
        assert after.keys() == shown.keys()
        assert all(after[name] >= count for name, count in shown.items())
        before = in_state(served)
        wire = {"schema": "paceline.dev/tuning/v1", "generation": 1, "values": {"workers": 2}, "routes": ["GET /v2/*"]}
        write_atomically(document, orjson.dumps(wire))
        eventually(lambda: "GET /v2/*" in in_state(served), "the document names a pattern")
        by_pattern = in_state(served)
        assert by_pattern["GET /v2/*"] == counted["GET /v2/users/{id}"] + 100
        assert sum(by_pattern.values()) == sum(before.values())
        assert by_pattern.keys() == {*before, "GET /v2/*"}
        assert in_state(served, "GET /v*/users/*")["GET /v*/users/*"] == 103
        assert "GET /v2/*" not in in_metrics(served)
