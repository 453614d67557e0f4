"""The service's end of the tuning document: its parser takes and refuses exactly what the schema does."""

from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.document.model import parse_document, parse_values
from paceline.errors import InvalidDocument

SCHEMA = orjson.loads((Path(__file__).parents[2] / "docs" / "schemas" / "tuning.v1.schema.json").read_bytes())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

names = st.text(min_size=1, max_size=8)
values = st.fixed_dictionaries(
    {},
    optional={
        "workers": st.integers(1, 2**31 - 1),
        "pools": st.dictionaries(names, st.integers(1, 1000), max_size=3),
        "caches": st.dictionaries(names, st.fixed_dictionaries({"ttlSeconds": st.floats(0, 1e6)}), max_size=3),
        "admission": st.fixed_dictionaries(
            {"min": st.integers(1, 99), "max": st.integers(1, 99)}, optional={"p95Seconds": st.floats(0.001, 9)}
        ),
    },
)
documents = st.fixed_dictionaries(
    {"schema": st.just("paceline.dev/tuning/v1"), "generation": st.integers(1, 2**63 - 1), "values": values},
    optional={
        "policy": st.text(max_size=9),
        "traceparent": st.none() | st.just("00-aa-bb-01"),
        "overrides": st.dictionaries(names, values, max_size=2),
        "routes": st.lists(st.text(max_size=9), max_size=3),
        "fromANewerOperator": st.booleans(),
    },
)


@given(document=documents)
def test_whatever_the_schema_allows_is_read(document: dict[str, Any]) -> None:
    VALIDATOR.validate(document)
    parsed = parse_document(orjson.dumps(document))
    assert parsed.generation == document["generation"]
    assert parsed.routes == tuple(document.get("routes", ()))
    assert parse_values(parsed.values.to_json()) == parsed.values
    parsed_keys = ("workers", "pools", "caches", "admission")
    asked = {key: value for key, value in document["values"].items() if key in parsed_keys}
    assert {**{"pools": {}, "caches": {}}, **asked} == parsed.values.to_json()


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"schema": "paceline.dev/tuning/v2"}, id="another schema"),
        pytest.param({"generation": 0}, id="generation zero"),
        pytest.param({"generation": "7"}, id="generation as text"),
        pytest.param({"generation": 7.5}, id="half a generation"),
        pytest.param({"values": None}, id="no values"),
        pytest.param({"values": {"workers": 0}}, id="no workers"),
        pytest.param({"values": {"workers": "4"}}, id="workers as text"),
        pytest.param({"values": {"pools": {"postgres": 0}}}, id="a pool of nothing"),
        pytest.param({"values": {"pools": {"postgres": None}}}, id="a pool without a number"),
        pytest.param({"values": {"caches": {"responses": {}}}}, id="a cache without a TTL"),
        pytest.param({"values": {"caches": {"responses": {"ttlSeconds": -1}}}}, id="a negative TTL"),
        pytest.param({"values": {"admission": {"min": 1}}}, id="admission without a maximum"),
        pytest.param({"values": {"admission": {"min": 0, "max": 9}}}, id="admission of nobody"),
        pytest.param({"values": {"admission": {"min": 1, "max": 9.5}}}, id="half a request"),
        pytest.param({"values": {"admission": {"min": 1, "max": 9, "p95Seconds": 0}}}, id="an objective of nothing"),
        pytest.param({"overrides": {"uid": {"workers": 0}}}, id="an override without workers"),
        pytest.param({"routes": "GET /"}, id="routes as text"),
        pytest.param({"routes": [3]}, id="a route that is no text"),
        pytest.param({"policy": 3}, id="a policy that is no name"),
        pytest.param({"generation": 2**63}, id="a generation beyond int64"),
        pytest.param({"generation": True}, id="a generation that is true"),
        pytest.param({"values": {"workers": 2**31}}, id="workers beyond int32"),
        pytest.param({"values": {"pools": {"postgres": 2**31}}}, id="a pool beyond int32"),
        pytest.param({"values": {"pools": {"postgres": True}}}, id="a pool that is true"),
        pytest.param({"values": {"caches": {"responses": {"ttlSeconds": 2.0**31}}}}, id="a TTL of more than 68 years"),
        pytest.param({"values": {"caches": {"responses": {"ttlSeconds": True}}}}, id="a TTL that is true"),
        pytest.param({"values": {"caches": {"responses": {"ttlSeconds": "60"}}}}, id="a TTL as text"),
        pytest.param({"values": {"admission": {"min": 1, "max": 2**31}}}, id="admission beyond int32"),
        pytest.param({"values": {"admission": {"min": 1, "max": 9, "p95Seconds": 1e300}}}, id="an endless objective"),
        pytest.param({"overrides": {"uid": {"workers": 2**31}}}, id="an override beyond int32"),
    ],
)
def test_what_the_schema_refuses_is_refused(change: dict[str, Any]) -> None:
    document = {"schema": "paceline.dev/tuning/v1", "generation": 7, "values": {}, **change}
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InvalidDocument, match="tuning document"):
        parse_document(orjson.dumps(document))


@pytest.mark.parametrize("missing", ["schema", "generation", "values"])
def test_a_required_field_is_named_when_it_is_missing(missing: str) -> None:
    document = {"schema": "paceline.dev/tuning/v1", "generation": 7, "values": {}}
    del document[missing]
    assert not VALIDATOR.is_valid(document)
    with pytest.raises(InvalidDocument, match=missing):
        parse_document(orjson.dumps(document))


NOT_JSON = {
    "workers 2^70": b'{"workers": 1180591620717411303424}',
    "workers of 5000 digits": b'{"workers": ' + b"9" * 5000 + b"}",
    "NaN": b'{"caches": {"responses": {"ttlSeconds": NaN}}}',
    "Infinity": b'{"caches": {"responses": {"ttlSeconds": Infinity}}}',
    "1e400": b'{"caches": {"responses": {"ttlSeconds": 1e400}}}',
    "not UTF-8": b'{"pools": {"\xff\xfe": 1}}',
    "a lone surrogate": b'{"pools": {"\\ud800": 1}}',
    "deep nesting": b'{"ignored": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("values", [pytest.param(content, id=name) for name, content in NOT_JSON.items()])
def test_what_no_schema_can_say_is_refused_too(values: bytes) -> None:
    with pytest.raises(InvalidDocument, match="tuning document"):
        parse_document(b'{"schema": "paceline.dev/tuning/v1", "generation": 7, "values": ' + values + b"}")


def test_names_in_a_document_cannot_forge_or_flood_the_message() -> None:
    document = {"schema": "paceline.dev/tuning/v1", "generation": 7, "values": {"pools": {"a\nb" * 9999: 0}}}
    with pytest.raises(InvalidDocument) as refused:
        parse_document(orjson.dumps(document))
    assert str(refused.value).isprintable()
    assert len(str(refused.value)) < 250


def test_more_routes_than_a_pod_counts_are_cut() -> None:
    routes = [f"GET /{number}" for number in range(200)]
    wire = {"schema": "paceline.dev/tuning/v1", "generation": 1, "values": {}, "routes": ["GET /" + "x" * 600, *routes]}

    assert parse_document(orjson.dumps(wire)).routes == tuple(routes[:128])
