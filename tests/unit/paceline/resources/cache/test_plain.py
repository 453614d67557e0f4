"""Python's own values come back from their form in Redis as they were, or are refused."""

from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

import pytest
from examples import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline.resources.cache.fidelity import difference
from paceline.resources.cache.plain import Plain

KEYS = st.none() | st.booleans() | st.integers() | st.text() | st.uuids() | st.tuples(st.integers(), st.text())
SCALARS = (KEYS | st.floats() | st.binary() | st.decimals() | st.dates() | st.timedeltas() | st.times()) | st.datetimes(
    timezones=st.none() | st.just(UTC) | st.just(timezone(timedelta(hours=-7)))
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.dictionaries(st.text(max_size=1), inner, max_size=3)
        | st.sets(KEYS, max_size=3)
        | st.frozensets(KEYS, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.fuzz
@pytest.mark.invariant
@settings(max_examples=examples(100))
@given(VALUES)
def test_a_value_comes_back_with_its_types(value: Any) -> None:
    serializer = Plain()
    assert difference(value, serializer.loads(serializer.dumps(value))) is None


class Opaque:
    def __init__(self, x: Any) -> None:
        self.x = x


@pytest.mark.parametrize("value", [Opaque(1), [Opaque(1)], {"a": {1: Opaque(1)}}, object, len, 1j])
def test_any_other_value_is_refused_with_its_type(value: Any) -> None:
    with pytest.raises(TypeError, match="has no form in Redis"):
        Plain().dumps(value)


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        pytest.param(1, True, "the value is of type int and comes back as bool", id="a type"),
        pytest.param(
            [1, (2,)], [1, [2]], r"the value\[1\] is of type tuple and comes back as list", id="within a list"
        ),
        pytest.param({"a": {"b": time(1)}}, {"a": {"b": "1"}}, r"\['a'\]\['b'\] is of type time", id="within a dict"),
        pytest.param({1: 2}, {"1": 2}, "a key of the value is of type int", id="a key"),
        pytest.param([1], [1, 2], "the length of the value", id="one more"),
        pytest.param({1}, {True}, "of type set comes back changed", id="within a set"),
        pytest.param(datetime(2026, 1, 1), datetime(2026, 1, 2), "changed", id="a moment"),  # noqa: DTZ001
        pytest.param(Opaque(1), Opaque("1"), r"the value\.x is of type int", id="an attribute"),
    ],
)
def test_what_was_lost_is_named(one: Any, other: Any, says: str) -> None:
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(difference(one, other))


def test_equal_objects_without_an_equality_of_their_own_are_the_same() -> None:
    assert difference([Opaque({1: float("nan")})], [Opaque({1: float("nan")})]) is None
