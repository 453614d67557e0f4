"""Pods and operator understand a pattern of routes alike: what one adds up the other takes for the same requests."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.serve.agent.totals import add_up
from paceline.serve.agent.totals import matches as pod_matches
from paceline_operator.core.model.objectives import matches

TEXT = st.text("ab/ ", max_size=8)
PATTERNS = st.lists(TEXT, min_size=1, max_size=4).map("*".join)


@given(pattern=PATTERNS, group=TEXT)
def test_both_match_what_a_regular_expression_does(pattern: str, group: str) -> None:
    expected = re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), group, re.DOTALL) is not None

    assert matches(pattern, group) is expected
    assert pod_matches(pattern, group) is expected


@given(parts=st.lists(TEXT, min_size=1, max_size=4), between=st.lists(TEXT, min_size=3, max_size=3))
def test_both_match_whatever_stands_for_a_star(parts: list[str], between: list[str]) -> None:
    group = parts[0] + "".join(found + part for found, part in zip(between, parts[1:], strict=False))

    assert matches("*".join(parts), group)
    assert pod_matches("*".join(parts), group)


def test_many_stars_take_no_time() -> None:
    assert not matches("*a" * 128 + "b", "a" * 512)
    assert not pod_matches("*a" * 128 + "b", "a" * 512)


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        pytest.param((), {"GET /items": 4, "other": 9}, id="nothing asked for"),
        pytest.param(("GET /reports/*",), {"GET /items": 4, "GET /reports/*": 6, "other": 3}, id="a pattern"),
        pytest.param(
            ("GET /reports/*", "GET /reports/{id}"),
            {"GET /items": 4, "GET /reports/{id}": 2, "GET /reports/*": 4, "other": 3},
            id="a name before a pattern",
        ),
        pytest.param(("GET /reports/*", "GET /*"), {"GET /*": 7, "GET /reports/*": 6}, id="the first that matches"),
        pytest.param(("GET /*",), {"GET /*": 13}, id="before the names of the pod"),
    ],
)
def test_a_pod_counts_each_request_once(asked: tuple[str, ...], shown: dict[str, int]) -> None:
    counts = {"GET /items": 4, "GET /reports/{id}": 2, "GET /reports/{id}/pages": 4, "GET /rare": 3}
    empty = {"scale": 4, "zeroCount": 0, "offset": 0, "counts": [], "count": 0, "sum": 0.0}
    report = {
        "requests": [
            {"group": group, "count": count, "errors": 0, "duration": empty} for group, count in counts.items()
        ]
    }
    found = add_up([report], ["GET /items"], asked)["requests"]

    assert {each["group"]: each["count"] for each in found} == shown
