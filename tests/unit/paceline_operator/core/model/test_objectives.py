"""What an objective is about: patterns of routes, and the first of them that matches."""

from dataclasses import replace
from datetime import timedelta

import pytest
from paceline_operator.core.model.objectives import P99, Target, matches
from situations import COST


@pytest.mark.parametrize(
    ("pattern", "group", "found"),
    [
        pytest.param("GET /reports/*", "GET /reports/{id}", True, id="below a path"),
        pytest.param("GET /reports/*", "GET /reports/{id}/pages", True, id="far below it"),
        pytest.param("GET /reports/*", "GET /reports", False, id="not the path itself"),
        pytest.param("GET /reports/*", "POST /reports/{id}", False, id="another method"),
        pytest.param("* /admin/*", "DELETE /admin/{id}", True, id="any method"),
        pytest.param("GET /*/pages/*", "GET /reports/{id}/pages/{page}", True, id="something in the middle"),
        pytest.param("GET /*/pages/*", "GET /reports/{id}", False, id="nothing of it in the middle"),
        pytest.param("GET /a*a", "GET /a", False, id="no letter counts twice"),
        pytest.param("GET /items", "GET /items", True, id="the very name"),
        pytest.param("GET /items", "GET /items/{id}", False, id="no more than the name"),
        pytest.param("GET /[ab].?", "GET /a.b", False, id="nothing but * is special"),
    ],
)
def test_what_a_pattern_matches(pattern: str, group: str, found: bool) -> None:
    assert matches(pattern, group) is found


def test_the_first_that_matches_counts_and_what_is_excluded_counts_nowhere() -> None:
    slow, quick = (Target(timedelta(seconds=n), match=m) for n, m in ((2, "GET /reports/*"), (1, "GET /*")))
    objective = replace(COST, routes=(slow, quick), excluded_routes=frozenset({"GET /reports/health"}))

    groups = "GET /reports/{id}", "GET /items", "POST /items", "GET /reports/health"
    assert [objective.target_of(group) for group in groups] == [1, 2, 0, None]
    assert [target.name for target in objective.targets] == ["p95", "GET /reports/* p95", "GET /* p95"]
    assert objective.named == ("GET /reports/health", "GET /reports/*", "GET /*")
    assert Target(timedelta(seconds=1), P99).name == "p99"
