"""The OpenAPI document: every operation can be found, called by name, and says how it fails."""

from collections.abc import Iterator
from typing import Any

import pytest
from paceline_api.app import create_app


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return create_app().openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_operations_have_names_of_their_own(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() for name in names)


def test_operations_are_described_below_a_tag_that_is(document: dict[str, Any]) -> None:
    described = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["description"], name
        assert set(operation["tags"]) <= described, name


def test_what_is_not_a_success_is_a_problem_with_an_example(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        failures = {status: response for status, response in operation["responses"].items() if status >= "400"}
        assert failures or name == "GET /healthz", name
        for status, response in failures.items():
            content = response["content"]["application/json"]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
            for error, example in content["examples"].items():
                assert example["value"].keys() == {"error", "detail", "request_id"}
                assert example["value"]["error"] == error
