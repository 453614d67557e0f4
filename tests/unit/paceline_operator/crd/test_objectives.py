"""Objectives of routes and p99: what a spec means, and what the status says of them."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import responses_of
from paceline_operator.core.model.objectives import P95, P99, Target
from paceline_operator.core.model.policy import Objective
from paceline_operator.crd.conditions import objective_met
from paceline_operator.crd.measured import parse_measured
from paceline_operator.crd.status import render_observed
from paceline_operator.crd.v1alpha1 import parse_policy
from paceline_operator.errors import InvalidSpec
from situations import COST, fleet, observation, policy, seconds

REPORTS = Target(timedelta(seconds=2), match="GET /reports/*")
ADMIN = Target(timedelta(seconds=5), P99, "* /admin/*")
BOTH = replace(COST, routes=(REPORTS, ADMIN))


def parsed(**objective: Any) -> Objective:
    found = parse_policy({"targetRef": {"name": "api"}, "objective": objective}).objective
    assert found is not None
    return found


def seen(objective: Objective, *durations: Histogram) -> Observation:
    return observation(duration=merge(durations), responses=responses_of(objective.targets, durations))


def test_each_objective_has_its_percentile_and_its_routes() -> None:
    found = parsed(
        p99="90ms",
        routes={
            "exclude": ["GET /healthz"],
            "objectives": [{"match": "GET /reports/*", "p95": "2s"}, {"match": "* /admin/*", "p99": "5s"}],
        },
    )

    assert (found.limit, found.quantile) == (timedelta(milliseconds=90), P99)
    assert found.routes == (REPORTS, ADMIN)
    assert found.excluded_routes == {"GET /healthz"}
    assert parsed(p95="45ms").quantile == P95


@pytest.mark.parametrize(
    ("objective", "problem"),
    [
        pytest.param({}, "spec.objective: give exactly one of p95 and p99", id="neither"),
        pytest.param({"p95": "45ms", "p99": "90ms"}, "spec.objective: give exactly one of p95 and p99", id="both"),
        pytest.param({"p99": "0s"}, "spec.objective: p99 must be longer than 0s", id="no time at all"),
        pytest.param({"p99": "90m"}, "spec.objective.p99: '90m' is 90 minutes: write 90ms", id="minutes"),
        pytest.param(
            {"p95": "45ms", "routes": {"objectives": [{"match": "GET /x"}]}},
            "spec.objective.routes.objectives[0]: give exactly one of p95 and p99",
            id="neither, of a route",
        ),
        pytest.param(
            {"p95": "45ms", "routes": {"objectives": [{"match": "/x", "p95": "1s"}]}},
            "'/x' is no method and path such as GET /reports/* or * /reports/*: write GET /x",
            id="a path alone",
        ),
        pytest.param(
            {"p95": "45ms", "routes": {"objectives": [{"match": "get /x", "p95": "1s"}]}},
            "'get /x' is no method and path",
            id="a method in small letters",
        ),
        pytest.param(
            {"p95": "45ms", "routes": {"objectives": [{"match": "GET /x", "p95": "1s"}] * 2}},
            "'GET /x' is there twice",
            id="twice",
        ),
        pytest.param(
            {"p95": "45ms", "routes": {"exclude": ["GET /x"], "objectives": [{"match": "GET /x", "p95": "1s"}]}},
            "'GET /x' is in exclude as well",
            id="excluded as well",
        ),
    ],
)
def test_what_is_no_objective_is_refused_in_words(objective: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidSpec) as caught:
        parsed(**objective)
    assert problem in str(caught.value)


def test_the_condition_names_each_objective_that_is_missed() -> None:
    rules = policy(objective=BOTH)
    missed = objective_met(rules, seen(BOTH, seconds(0.030), seconds(3.0), seconds(9.0)), {})
    met = objective_met(rules, seen(BOTH, seconds(0.030), seconds(1.0), seconds(9.0, 100)), {})

    assert (missed.status, missed.reason) == ("False", "Slow")
    assert missed.message == "GET /reports/* p95 is above 2s; * /admin/* p99 is above 5s"
    assert (met.status, met.reason) == ("True", "WithinObjective")
    assert met.message == "p95 is within 45ms; GET /reports/* p95 is within 2s"


def test_the_status_shows_what_was_measured_of_each() -> None:
    shown = render_observed(seen(BOTH, seconds(0.030), seconds(3.0, 500), seconds(1.0, 100)), fleet())

    assert shown["p95"] == "30ms"
    assert shown["routes"] == [
        {"match": "GET /reports/*", "p95": "3s", "samples": 500, "met": False},
        {"match": "* /admin/*", "p99": "1s", "samples": 100},
    ]
    assert "p99" not in shown


def test_with_p99_the_status_shows_both_percentiles() -> None:
    objective = replace(COST, quantile=P99)
    shown = render_observed(seen(objective, merge((seconds(0.020, 960), seconds(0.200, 40)))), fleet())

    assert (shown["p95"], shown["p99"]) == ("20ms", "200ms")
    assert "routes" not in shown


def test_a_plain_objective_shows_no_more_than_before() -> None:
    assert not {"p99", "routes"} & render_observed(observation(), fleet()).keys()


@pytest.mark.parametrize("unit", [0, -1, "inf", "nan", None, "x"])
def test_a_figure_that_cannot_be_is_no_measured_window(unit: Any) -> None:
    stored = {"p95Seconds": 1, "errorRatio": 0, "requestsPerSecond": 1, "samples": 1}
    with pytest.raises((ValueError, TypeError)):
        parse_measured({**stored, "figure": {"name": "p99", "unit": unit, "counted": ["p99 45ms"]}})
