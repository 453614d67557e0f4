"""Request statistics: names by method and template, errors, and that clients cannot use names up."""

from typing import Any

from paceline.telemetry.requests import MAX_TEMPLATES, MOST_EXEMPLARS, RequestStats


class Route:
    def __init__(self, path: str) -> None:
        self.path = path
        self.methods: set[str] = set()


def scope(method: str = "GET", template: str | None = None) -> dict[str, Any]:
    found = {} if template is None else {"route": Route(template)}
    return {"type": "http", "method": method, "path": "/secret/42", **found}


def counts(stats: RequestStats) -> dict[str, tuple[int, int]]:
    return {row["group"]: (row["count"], row["errors"]) for row in stats.report()}


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


def test_every_template_has_its_own_count() -> None:
    stats = RequestStats()
    for number in range(200):
        stats.record(scope("GET", f"/route{number}"), 0.01, failed=False)
    assert counts(stats) == {f"GET /route{number}": (1, 0) for number in range(200)}


def test_an_application_that_makes_templates_up_does_not_grow_the_table_for_ever() -> None:
    stats = RequestStats()
    for number in range(MAX_TEMPLATES + 500):
        stats.record(scope("GET", f"/users/{number}"), 0.01, failed=False)
    assert len(counts(stats)) == MAX_TEMPLATES + 1
    assert counts(stats)["GET other"] == (500, 0)
    assert len(stats._by_key) == MAX_TEMPLATES


def test_unknown_paths_share_a_name_for_each_known_method_and_use_up_no_template() -> None:
    stats = RequestStats()
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        for _ in range(100):
            stats.record(scope(method), 0.01, failed=False)
    stats.record(scope("GET", "/products"), 0.01, failed=False)
    assert counts(stats)["GET /products"] == (1, 0)
    assert len(counts(stats)) == 8 + 1


def test_methods_that_clients_invent_share_a_group_and_grow_nothing() -> None:
    stats = RequestStats()
    for number in range(1000):
        stats.record(scope(f"X{number}"), 0.01, failed=False)
    assert counts(stats) == {"_OTHER other": (1000, 0)}
    assert stats._by_key == {}


def test_methods_that_a_route_does_not_have_share_one_of_its_names() -> None:
    route = Route("/products")
    route.methods = {"GET", "HEAD"}
    stats = RequestStats()
    for method in ("GET", "PUT", "DELETE", "BREW"):
        stats.record({"type": "http", "method": method, "route": route}, 0.01, failed=False)
    assert counts(stats) == {"GET /products": (1, 0), "_OTHER /products": (3, 0)}


METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


def test_methods_that_are_tried_on_mounted_files_share_one_of_their_names() -> None:
    """What is mounted does not say which methods it has; a client that tries them all must not use up names."""
    stats = RequestStats()
    for method in METHODS:
        stats.record(scope(method, "/static"), 0.01, failed=False, status=404 if method == "GET" else 405)
    assert counts(stats) == {"GET /static": (1, 0), "POST /static": (1, 0), "_OTHER /static": (7, 0)}
    stats.record(scope("PUT", "/static"), 0.01, failed=False, status=204)
    stats.record(scope("PUT", "/static"), 0.01, failed=False, status=404)
    assert counts(stats)["PUT /static"] == (2, 0)


def test_a_method_that_a_route_has_is_named_whatever_its_status() -> None:
    route = Route("/items/{id}")
    route.methods = {"DELETE"}
    stats = RequestStats()
    stats.record({"type": "http", "method": "DELETE", "route": route}, 0.01, failed=False, status=404)
    assert counts(stats) == {"DELETE /items/{id}": (1, 0)}


def test_a_name_can_always_be_written_and_is_not_endless() -> None:
    stats = RequestStats()
    stats.record(scope("GET", "/\ud800" + "x" * 100_000), 0.01, failed=False)
    [name] = counts(stats)
    assert len(name) < 1000
    assert name.encode().startswith(b"GET /?xx")


def test_the_latest_trace_of_each_group_and_bucket_is_told() -> None:
    stats = RequestStats()
    for at, (template, seconds) in enumerate([("/a", 0.2), ("/a", 0.21), ("/a", 3.0), ("/b", 0.2)]):
        stats.record(scope("GET", template), seconds, failed=False)
        stats.exemplify(scope("GET", template), seconds, f"{at:032x}", float(at))
    told = {name: [each["traceId"][-1] for each in each_of] for name, each_of in stats.exemplars().items()}
    assert told == {"GET /a": ["1", "2"], "GET /b": ["3"]}


def test_a_request_without_a_trace_and_one_of_a_made_up_method_are_none() -> None:
    stats = RequestStats()
    for method, trace in (("GET", None), ("BREW", "1" * 32)):
        stats.record(scope(method, "/a"), 0.2, failed=False)
        stats.exemplify(scope(method, "/a"), 0.2, trace, 1.0)
    assert stats.exemplars() == {}


def test_the_newest_traces_are_told_and_not_more_than_a_few() -> None:
    stats = RequestStats()
    for number in range(MOST_EXEMPLARS + 50):
        stats.record(scope("GET", f"/{number}"), 0.2, failed=False)
        stats.exemplify(scope("GET", f"/{number}"), 0.2, "1" * 32, float(number))
    told = stats.exemplars()
    assert len(told) == MOST_EXEMPLARS
    assert "GET /0" not in told
    assert f"GET /{number}" in told
