"""The CRD and the parser say the same about a TuningPolicy: what is right, what is wrong, and what is the default."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from paceline_operator.core.model.durations import parse_duration
from paceline_operator.core.model.policy import Prefer
from paceline_operator.crd.v1alpha1 import parse_policy, parse_target
from paceline_operator.errors import InvalidSpec
from policy_specs import MISTAKES, SPEC, changed

ROOT = Path(__file__).parents[2]
CRD = yaml.safe_load((ROOT / "operator" / "paceline_operator" / "crd" / "tuningpolicy.yaml").read_text())
SCHEMA = CRD["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
LEAST: dict[str, Any] = {"targetRef": {"name": "api"}}


@pytest.mark.parametrize(("path", "value", "message"), MISTAKES)
def test_the_parser_refuses_what_the_crd_refuses(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidSpec):
        parse_policy(changed(path, value))


def test_the_parser_takes_what_the_crd_takes() -> None:
    assert parse_policy(SPEC).tunables


def test_the_crd_fills_in_what_the_parser_assumes() -> None:
    assumed, target = parse_policy(LEAST), parse_target(LEAST)
    assert target is not None
    spec = SCHEMA["spec"]["properties"]
    reference, behavior = spec["targetRef"]["properties"], spec["behavior"]["properties"]
    objective = parse_policy({**LEAST, "objective": {"p95": "1s"}}).objective
    assert objective is not None
    filled = {
        "apiVersion": (reference["apiVersion"]["default"], target.api_version),
        "kind": (reference["kind"]["default"], target.kind),
        "mode": (spec["mode"]["default"], assumed.mode),
        "errorRatio": (spec["objective"]["properties"]["errorRatio"]["default"], objective.error_ratio),
        "interval": (parse_duration(behavior["interval"]["default"]), assumed.behavior.interval),
        "minSamples": (behavior["minSamples"]["default"], assumed.behavior.min_samples),
        "tolerance": (behavior["tolerance"]["default"], assumed.behavior.tolerance),
        "stabilizationWindows": (
            behavior["stabilizationWindows"]["default"],
            assumed.behavior.stabilization_windows,
        ),
        "maxChangesPerHour": (behavior["maxChangesPerHour"]["default"], assumed.behavior.max_changes_per_hour),
    }
    assert {name: pair for name, pair in filled.items() if pair[0] != pair[1]} == {}


def test_the_crd_stores_no_preference_that_nobody_has_stated() -> None:
    """A default that the API server wrote could not be told from a wish when the default changes."""
    assert "default" not in SCHEMA["spec"]["properties"]["objective"]["properties"]["prefer"]
    objective = parse_policy({**LEAST, "objective": {"p95": "1s"}}).objective
    assert objective is not None
    assert objective.prefer is Prefer.COST


def test_every_field_of_the_crd_is_known_to_the_parser() -> None:
    """An unknown one would be an error of the policy that the API server has accepted."""
    spec = SCHEMA["spec"]["properties"]
    assert set(spec) == set(SPEC) | {"mode"}, "a new field belongs into SPEC"
    parse_policy({**SPEC, "mode": "Auto"})
