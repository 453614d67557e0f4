"""The CRD and the parser say the same about a ConnectionBudget: what is right, what is wrong, what is assumed."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from budget_specs import MISTAKES, SPEC, changed
from paceline_operator.core.budget.limit import ConnectionBudget, Pooler
from paceline_operator.crd.connectionbudget import DEFAULT_RESERVED, parse_budget
from paceline_operator.errors import InvalidSpec

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "operator" / "paceline_operator" / "crd" / "connectionbudget.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]


@pytest.mark.parametrize(("fields", "message"), MISTAKES)
def test_the_parser_refuses_what_the_crd_refuses(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_budget(changed(fields), "data")
    assert message in str(refused.value) or "at least 1 char" in message


def test_it_is_understood() -> None:
    budget = parse_budget(SPEC, "data")
    assert budget == ConnectionBudget(200, 10, Pooler(1000, 100), frozenset({"data", "shop", "*"}))
    assert budget.connections() == budget.connections(7) == 1000
    assert budget.allows("anywhere")


def test_least_is_enough() -> None:
    budget = parse_budget({"maxConnections": 200}, "data")
    assert budget == ConnectionBudget(200, DEFAULT_RESERVED, None, frozenset({"data"}))
    assert SCHEMA["reserved"]["default"] == DEFAULT_RESERVED
    assert (SCHEMA["endpoint"]["default"], SCHEMA["allocation"]["default"]) == ("Direct", "WorstCase")
    assert budget.allows("data")
    assert not budget.allows("shop")


def test_what_the_server_says_may_only_lower_it() -> None:
    budget = parse_budget({"maxConnections": 200}, "data")
    assert [budget.connections(learnt) for learnt in (None, 100, 1000, 3)] == [190, 90, 190, 0]


def test_each_problem_is_named_with_its_field() -> None:
    with pytest.raises(InvalidSpec) as refused:
        parse_budget({"maxConnections": "many", "max": 3}, "data")
    assert [problem.partition(":")[0] for problem in refused.value.problems] == ["spec.maxConnections", "spec.max"]
    assert refused.value.problems[1] == "spec.max: is not a field of a ConnectionBudget"


def test_every_field_of_the_crd_is_known_to_the_parser() -> None:
    assert set(SCHEMA) == set(SPEC), "a new field belongs into SPEC"
