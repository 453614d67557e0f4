"""Request statistics: grouping, errors and the bound on groups."""

from typing import Any

import pytest
from paceline.telemetry.requests import MAX_GROUPS, RequestStats, route_template


class Route:
    def __init__(self, path: str) -> None:
        self.path = path


def scope(method: str = "GET", template: str | None = None) -> dict[str, Any]:
    found = {} if template is None else {"route": Route(template)}
    return {"type": "http", "method": method, "path": "/secret/42", **found}


def counts(stats: RequestStats) -> dict[str, tuple[int, int]]:
    return {row["group"]: (row["count"], row["errors"]) for row in stats.report()}


@pytest.mark.parametrize(
    ("found", "template"),
    [
        pytest.param({"route": Route("/products/{id}")}, "/products/{id}", id="Starlette and FastAPI leave the route"),
        pytest.param({"path_template": "/items/{id:int}"}, "/items/{id:int}", id="Litestar leaves the template"),
        pytest.param({}, None, id="another framework leaves nothing, and the raw path is not used"),
        pytest.param({"route": object()}, None, id="a route without a path is no template"),
    ],
)
def test_the_template_is_what_the_framework_left_in_the_scope(found: dict[str, Any], template: str | None) -> None:
    assert route_template({"type": "http", "path": "/products/42", **found}) == template


def test_requests_are_counted_by_method_and_template() -> None:
    stats = RequestStats()
    for _ in range(3):
        stats.record(scope("GET", "/products"), 0.01, failed=False)
    stats.record(scope("POST", "/products"), 0.01, failed=True)
    stats.record(scope("GET"), 0.01, failed=False)
    assert counts(stats) == {"GET /products": (3, 0), "POST /products": (1, 1), "GET other": (1, 0)}


def test_durations_are_seconds_in_the_groups_histogram() -> None:
    stats = RequestStats()
    stats.record(scope("GET", "/"), 0.010, failed=False)
    duration = stats.report()[0]["duration"]
    assert (duration["offset"], duration["counts"], duration["sum"]) == (-107, [1], 0.010)


def test_counters_are_cumulative_over_reports() -> None:
    stats = RequestStats()
    for total in (1, 2, 3):
        stats.record(scope("GET", "/"), 0.01, failed=True)
        assert counts(stats) == {"GET /": (total, total)}


def test_the_groups_after_the_eighth_are_one() -> None:
    stats = RequestStats()
    for number in range(20):
        stats.record(scope("GET", f"/route{number}"), 0.01, failed=False)
    assert len(counts(stats)) == MAX_GROUPS + 1
    assert counts(stats)["other"] == (20 - MAX_GROUPS, 0)


def test_methods_that_clients_invent_share_a_group_and_grow_nothing() -> None:
    stats = RequestStats()
    for number in range(1000):
        stats.record(scope(f"X{number}"), 0.01, failed=False)
    assert counts(stats) == {"_OTHER other": (1000, 0)}
    assert stats._by_key == {}
