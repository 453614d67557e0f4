"""The service's end of `/state`: what a real agent and a real pod answer fulfils the schema, formats included."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from fake_arbiter import AgentPod, agent_pod
from serving import pod

SCHEMA = Path(__file__).parents[2] / "docs" / "schemas" / "state.v1.schema.json"


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    # jsonschema checks `date-time` only with a package that we do not need otherwise.
    formats = jsonschema.FormatChecker()

    @formats.checks("date-time", raises=ValueError)
    def is_date_time(value: object) -> bool:
        return not isinstance(value, str) or ("T" in value and datetime.fromisoformat(value).tzinfo is not None)

    schema = orjson.loads(SCHEMA.read_bytes())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema, format_checker=formats)


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentPod]:
    with agent_pod(tmp_path, max_workers=2, pod_name="api-1", pod_uid="u-1") as started:
        yield started


def test_before_the_first_worker(agent: AgentPod, validator: jsonschema.Draft202012Validator) -> None:
    state = agent.state()
    validator.validate(state)
    assert state["pod"] == {"name": "api-1", "uid": "u-1"}
    assert state["tuning"]["pending"] == ["worker 1 of 1 not ready"]
    assert state["tuning"]["appliedAt"] is None


def test_while_and_after_a_change_with_clamps_unknown_names_and_a_refusal(
    agent: AgentPod, validator: jsonschema.Draft202012Validator
) -> None:
    def every_state_is_valid(state: dict[str, Any]) -> bool:
        validator.validate(state)
        return state["tuning"]["generation"] == 4 and not state["tuning"]["pending"]

    agent.applied(0)
    agent.writes(4, workers=9, pools={"postgres": 50, "mongo": 3}, caches={"responses": {"ttlSeconds": 5}})
    state = agent.until(every_state_is_valid, "generation 4 is applied")
    assert state["tuning"]["clamped"] == [
        {"tunable": "workers", "asked": 9, "granted": 2, "by": "cap"},
        {"tunable": "pools.postgres", "asked": 50, "granted": 20, "by": "cap"},
    ]
    assert state["tuning"]["unknown"] == ["mongo"]
    assert state["values"] == {"workers": 2, "pools": {"postgres": 20}, "caches": {"responses": {"ttlSeconds": 5.0}}}
    agent.writes(3, workers=1)
    state = agent.until(lambda state: state["tuning"]["refused"], "generation 3 is refused")
    validator.validate(state)


def test_a_real_pod(tmp_path: Path, validator: jsonschema.Draft202012Validator) -> None:
    with pod(tmp_path, "tuned:app", workers=2) as served:
        served.get("/")
        state = served.state()
    validator.validate(state)
    assert set(state["startValues"]["caches"]) == {"answers"}


def test_a_wrong_moment_would_be_noticed(agent: AgentPod, validator: jsonschema.Draft202012Validator) -> None:
    with pytest.raises(jsonschema.ValidationError, match="date-time"):
        validator.validate({**agent.state(), "startedAt": "yesterday"})
