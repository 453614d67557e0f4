"""What becomes of `prefer` in policies that an earlier version has stored."""

import json
from typing import Any

import pytest
from paceline_operator.core.model.policy import Prefer
from paceline_operator.crd.stored import LAST_APPLIED, as_asked
from paceline_operator.crd.v1alpha1 import parse_policy


def stored(prefer: str | None) -> dict[str, Any]:
    objective = {"p95": "45ms"} | ({"prefer": prefer} if prefer else {})
    return {"targetRef": {"name": "api"}, "objective": objective, "workers": {"min": 1, "max": 4}}


def applied(spec: Any) -> dict[str, str]:
    return {LAST_APPLIED: json.dumps({"kind": "TuningPolicy", "spec": spec})}


@pytest.mark.parametrize(
    ("prefer", "annotations", "means"),
    [
        pytest.param("latency", applied(stored(None)), Prefer.COST, id="the old default, which nobody had asked for"),
        pytest.param("latency", applied(stored("latency")), Prefer.LATENCY, id="latency, as applied"),
        pytest.param("latency", {}, Prefer.LATENCY, id="latency, not by kubectl apply"),
        pytest.param("latency", {LAST_APPLIED: "{"}, Prefer.LATENCY, id="an annotation that is no JSON"),
        pytest.param("latency", applied(None), Prefer.LATENCY, id="an annotation without a spec"),
        pytest.param("economy", {}, Prefer.COST, id="economy is called cost now"),
        pytest.param("cost", applied(stored("cost")), Prefer.COST, id="cost"),
        pytest.param(None, {}, Prefer.COST, id="nothing"),
    ],
)
def test_what_a_stored_preference_means(prefer: str | None, annotations: dict[str, str], means: Prefer) -> None:
    objective = as_asked(parse_policy(stored(prefer)), annotations).objective

    assert objective is not None
    assert objective.prefer is means


def test_a_policy_without_an_objective_prefers_nothing() -> None:
    assert as_asked(parse_policy({"targetRef": {"name": "api"}}), applied({})).objective is None
