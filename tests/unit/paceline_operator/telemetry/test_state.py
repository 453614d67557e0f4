"""Reports of pods that are hostile or broken: each is read as it is or refused with the place, whatever it holds."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from modelled_fleet import ModelPod, Service, start_values
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.pods import PodState
from paceline_operator.core.model.tunables import processes
from paceline_operator.errors import InvalidState
from paceline_operator.telemetry.reading import MOST_ENTRIES, MOST_LISTED
from paceline_operator.telemetry.state import MOST_BUCKETS, parse_ack, parse_state
from paceline_operator.telemetry.strict_json import parse_object

pytestmark = pytest.mark.invariant

HISTOGRAM = {"scale": 4, "zeroCount": 0, "offset": -107, "counts": [1], "count": 1, "sum": 0.01}
GHOST = {"ttlSeconds": 30, "hits": 1, "misses": 1}
CACHE = {"ttlSeconds": 60, "hits": 1, "misses": 1, "staleHits": 0, "fetch": HISTOGRAM, "ghosts": [GHOST]}


def report() -> dict[str, Any]:
    pod = ModelPod("pod", start_values(3, 5), start_values(), generation=7)
    pod.clamped = [{"tunable": "workers", "asked": 8, "granted": 3, "by": "memory"}]
    pod.refused = {"generation": 8, "reason": "ShrinkBlocked", "message": "postgres holds 5"}
    wire = {**pod.state(Service()), "caches": {"responses": CACHE}, "unregistered": [{"address": "db:5432"}]}
    wire["degraded"] = [{"task": "memory", "error": "OSError"}]
    wire["admission"] = {"rejected": 3}
    wire["requests"][0]["duration"] = HISTOGRAM
    return json.loads(json.dumps(wire))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a report that something else can be put in."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        children = value.items() if isinstance(value, dict) else enumerate(value)
        found += [place for key, each in children for place in places(each, (*path, key))]
    return found


def with_at(wire: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    *parents, last = path
    inner: Any = wire
    for key in parents:
        inner = inner[key]
    inner[last] = value
    return wire


PLACES = places(report())
NUMBERS = (
    st.integers(-(2**64), 2**64 - 1) | st.floats() | st.sampled_from([2**53, 2**63 - 1, 2**63, 2**64 - 1, -1, 1e308])
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4),
    max_leaves=12,
)


def read_or_refused(wire: Any) -> PodState | None:
    """What a pass does with a report; anything but a refusal is a mistake."""
    try:
        parse_ack(wire)
        state = parse_state(wire)
    except InvalidState as error:
        return None if 0 < len(str(error)) < 400 else pytest.fail(f"a message of {len(str(error))} characters")
    before = ModelPod("pod", start_values(3, 5), start_values(), generation=7, uptime=1.0).state(Service())
    observation = observe([PodWindow(parse_state(before), state), PodWindow(state, state)])
    orjson.dumps([state.generation, state.unknown, state.pending, state.uid, state.refused_message])
    assert observation is None or orjson.dumps(
        [observation.requests, observation.duration.total, dict(observation.mix)]
    )
    return state


def test_a_report_of_the_schema_is_read() -> None:
    assert read_or_refused(report()) is not None


@given(st.sampled_from(PLACES), ANYTHING)
@settings(max_examples=300, deadline=None)
def test_whatever_is_put_anywhere_a_report_is_read_or_refused(path: tuple[Any, ...], value: Any) -> None:
    read_or_refused(with_at(report(), path, value))


@given(st.binary(max_size=200) | ANYTHING.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=150, deadline=None)
def test_whatever_a_port_sends_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidState):
        parse_state(parse_object(content))


@pytest.mark.parametrize("figure", [-1, 2**53 + 1, 2**63, 2**64, 1.5, "7", True, None, [], float("inf")])
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(("tuning", "generation"), id="generation"),
        pytest.param(("requests", 0, "count"), id="count of a group"),
        pytest.param(("pools", "postgres", "timeouts"), id="timeouts"),
        pytest.param(("values", "pools", "postgres"), id="value in force"),
        pytest.param(("caches", "responses", "ghosts", 0, "hits"), id="hits of a ghost"),
        pytest.param(("memory", "usedBytes"), id="memory"),
        pytest.param(("cpu", "periods"), id="periods"),
        pytest.param(("requests", 0, "duration", "counts", 0), id="a bucket"),
    ],
)
def test_what_is_no_count_is_refused_with_its_place(path: tuple[Any, ...], figure: Any) -> None:
    figure = 2**63 if (figure, path) == (2**53 + 1, ("tuning", "generation")) else figure
    with pytest.raises(InvalidState, match=str([part for part in path if isinstance(part, str)][-1])):
        parse_state(with_at(report(), path, figure))


def many(number: int, value: Any) -> dict[str, Any]:
    return {f"n{each}": value for each in range(number)}


POOL = {"kind": "asyncpg", "limit": 5, "cap": 9, "timeouts": 0, "wait": HISTOGRAM, "hold": HISTOGRAM}
WIDE = {**HISTOGRAM, "offset": -200, "counts": [1] * 300, "count": 300}


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        pytest.param(
            ("requests", 0, "duration"), {**HISTOGRAM, "counts": [1] * 1200000}, "1200000 entries", id="buckets"
        ),
        pytest.param(("pools",), many(MOST_ENTRIES + 1, POOL), "pools: 129 entries", id="pools"),
        pytest.param(
            ("pools",), many(100, {**POOL, "wait": WIDE, "hold": WIDE}), f"at most {MOST_BUCKETS}", id="in all"
        ),
        pytest.param(
            ("pools",),
            many(100, {**POOL, "kind": "processes", "wait": WIDE, "hold": WIDE}),
            f"at most {MOST_BUCKETS}",
            id="in all, of processes",
        ),
        pytest.param(("caches",), many(MOST_ENTRIES + 1, CACHE), "caches: 129 entries", id="caches"),
        pytest.param(("values", "pools"), many(MOST_ENTRIES + 1, 1), "values.pools: 129", id="values"),
        pytest.param(("requests",), [report()["requests"][0]] * 2, "a group is there twice", id="a group twice"),
        pytest.param(("requests", 0, "group"), "x" * 600, "no name", id="a long name"),
        pytest.param(("requests", 0, "group"), "GET /\nnext line", "no name", id="a line break in a name"),
        pytest.param(
            ("loopLag",), {**HISTOGRAM, "offset": 900}, "nobody can have measured", id="an age of the universe"
        ),
        pytest.param(("accepts",), ["tuning/v1"] * 900, "accepts: 900", id="documents"),
        pytest.param(("tuning", "pending"), "\u4e00" * 900, "tuning.pending: .* no list", id="a text for a list"),
        pytest.param(("tuning", "unknown"), many(900, 1), "tuning.unknown: .* no list", id="an object for a list"),
    ],
)
def test_what_is_too_much_is_refused_with_its_place(path: tuple[Any, ...], value: Any, place: str) -> None:
    with pytest.raises(InvalidState, match=place):
        parse_state(with_at(report(), path, value))


def test_a_pool_of_processes_is_told_from_one_of_connections() -> None:
    state = parse_state(with_at(report(), ("pools",), {"postgres": POOL, "render": {**POOL, "kind": "processes"}}))

    assert state.pools.keys() == {"postgres"}
    assert {each: counters.limit for each, counters in state.queues.items()} == {processes("render"): 5}


def test_what_is_for_people_is_cut_and_on_one_line() -> None:
    wire = report()
    wire["tuning"]["pending"] = ["a\nb" * 1000] * 5000
    wire["degraded"] = [{"task": "memory", "error": "\x1b[31m" * 900}]

    state = parse_state(wire)

    assert len(state.pending) == MOST_LISTED
    assert all(len(text) == 200 and text.isprintable() for text in (state.pending[0], state.degraded[0].error))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'{"a": 1, "a": 2}', id="at once"),
        pytest.param(b'{"a" : 1, "a": 2}', id="with a space"),
        pytest.param(b'{"x": {"a": 1, "b": [[{"c": ":", "\\u0063" \n: 2}]]}}', id="deep, and written in two ways"),
        pytest.param(b'{"a": [1, {"b": 1, "b": 2}]}', id="in a list that begins with a number"),
    ],
)
def test_an_object_that_names_something_twice_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidState, match="twice in one object"):
        parse_object(content)


@pytest.mark.parametrize(
    "content", [b'{"a": "\\":", "b": ": {", "c": "\\\\"}', b'{"a": [1, {"b": 2}], "c": "x\\": y"}', b"{}"]
)
def test_what_only_looks_like_a_second_name_is_read(content: bytes) -> None:
    assert parse_object(content) == json.loads(content)


@pytest.mark.parametrize("bracket", [b"[", b'{"a":'])
def test_what_is_nested_without_end_is_refused(bracket: bytes) -> None:
    for depth in (600, 100_000):
        with pytest.raises(InvalidState):
            parse_state(parse_object(b'{"tuning": ' + bracket * depth))


@given(
    st.recursive(
        st.none() | st.text() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
@settings(max_examples=100, deadline=None)
def test_an_object_without_duplicates_is_never_refused(value: Any) -> None:
    assert parse_object(json.dumps({"any": value}).encode()) == {"any": value}
