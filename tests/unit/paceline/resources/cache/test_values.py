"""Values as text: the same text exactly if type and value are the same."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag, IntEnum, StrEnum
from functools import cached_property
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path, PurePosixPath
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

import attrs
import hypothesis
import msgspec
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.values import TOKEN, NoValue, encode
from pydantic import BaseModel, ConfigDict, PrivateAttr, RootModel, SecretStr, create_model

PAIRS = hypothesis.settings(max_examples=examples(150))


class Color(Enum):
    RED = "red"
    CRIMSON = "red"
    BLUE = "blue"


class Word(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


class Rights(Flag):
    READ = 1
    WRITE = 2


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = 0


@dataclass(frozen=True)
class Point3(Point): ...


@dataclass
class Mutable:
    x: Any

    @cached_property
    def doubled(self) -> Any:
        return 2 * self.x


class Model(BaseModel):
    x: Any
    y: int = 0


class Child(Model): ...


class Row(NamedTuple):
    x: Any
    y: Any


@attrs.frozen
class Attrs:
    x: Any


class Struct(msgspec.Struct, frozen=True):
    x: Any


class Name(str):
    __slots__ = ()


class Lying(Decimal):
    """Its methods do not say what it is."""

    __slots__ = ()

    def as_tuple(self) -> Any:
        return Decimal(0).as_tuple()


class LyingMoment(datetime):
    def isoformat(self, *_: Any, **__: Any) -> str:
        return "always"

    def replace(self, *_: Any, **__: Any) -> Any:
        return self


class LyingRow(NamedTuple("Pair", [("x", Any), ("y", Any)])):
    @property
    def x(self) -> Any:
        return 0


class Fielded(tuple[Any, ...]):
    _fields = ("x",)


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    _x: int = PrivateAttr(0)


def local(values: Any) -> Any:
    """A class of this name at each call."""

    @dataclass(frozen=True)
    class Local:
        x: Any

    class Choice(Enum):
        ONE = values

    return Local(1), Choice.ONE


def _of_other_module() -> type[BaseModel]:
    user = create_model("User", x=(int, 0))
    user.__module__ = "other"
    return user


class User(BaseModel):
    x: int = 0


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    items: list[T] = []


USERS = (User, _of_other_module(), create_model("User", x=(int, 0)))


class Amount(int): ...


MOMENT = datetime(2026, 3, 29, 2, 30)  # noqa: DTZ001 - naive on purpose
DISTINCT: list[Any] = [
    *[None, "None", "", "!none", 1, "1", True, "True", False, 0, "0", 1.0, "1.0", 0.0, -0.0, -1, "-1", "+1", 1j],
    *[float("nan"), "nan", float("inf"), 10**5000, 10**5000 + 1, Decimal(1), Decimal("1.0"), Decimal("NaN")],
    *[b"x", "b'x'", "x", bytearray(b"x"), "\ud800", "\ud83d\ude00", "😀", "a,b", "a%2Cb", ("a", "b"), ("a,b",)],
    *[Color.RED, Color.BLUE, "red", Word.RED, Number.ONE, Rights.READ, Rights.WRITE, Rights.READ | Rights.WRITE],
    *[date(2026, 3, 29), datetime(2026, 3, 29), "2026-03-29", MOMENT, MOMENT.replace(fold=1), MOMENT.time()],  # noqa: DTZ001
    *[
        MOMENT.replace(tzinfo=UTC),
        MOMENT.replace(tzinfo=ZoneInfo("UTC")),
        MOMENT.replace(tzinfo=ZoneInfo("Asia/Tokyo")),
    ],
    *[MOMENT.replace(tzinfo=timezone(timedelta(hours=9))), time(1, tzinfo=UTC), timedelta(1), timedelta(seconds=1)],
    *[UUID(int=1), str(UUID(int=1)), (), [], set(), frozenset(), {}, OrderedDict(), (1,), [1], {1}, frozenset({1})],
    *[{1: 2}, {"1": 2}, {1: "2"}, {(1, 2): 3}, ((1, 2), 3), {"a": {"b": 1}}, {"a": {"b": "1"}}, OrderedDict({1: 2})],
    *[OrderedDict([(1, 2), (2, 3)]), OrderedDict([(2, 3), (1, 2)]), range(3), range(0, 4, 2), [[1], [2]], [[1, 2]]],
    *[Point(1), Point("1"), Point(1, "0"), Point3(1), Mutable(1), Model(x=1), Model(x="1"), Child(x=1), Row(1, 2)],
    *[RootModel[int](1), RootModel[float](1.0), Attrs(1), Struct(1), Name("x"), Amount(1), Path("x"), Path("x/y")],
    *[ip_address("127.0.0.1"), ip_address("::1"), ip_network("10.0.0.0/8"), int, str, Point, ..., "..."],
    *[Lying(1), Lying(2), LyingMoment(2026, 1, 1), LyingMoment(2026, 1, 2), LyingRow(1, 2), LyingRow(2, 2)],
    *[Fielded((1, 2)), Fielded((1, 3)), Open.model_validate({"_x": 1}), Open.model_validate({"_x": 2}), Open()],
    *[*local(1), *local((1,)), *local((2,)), *(user() for user in USERS), *(Box[user]() for user in USERS)],
    *[np.float64(1), np.float32(1), np.int64(1), np.int32(1), np.bool_(True), np.str_("x"), np.complex128(1)],
    *[np.arange(2), np.arange(2, dtype=">i8"), np.arange(2.0), np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(5000)],
    *[np.ones(5000), np.datetime64(1, "D"), np.datetime64(1, "h"), np.array("x"), np.array(b"x")],
]


@pytest.mark.invariant
def test_values_that_differ_in_type_or_content_have_texts_of_their_own() -> None:
    texts = [(encode(value), value) for value in DISTINCT]
    same = [(one, other) for (text, one), (again, other) in combinations(texts, 2) if text == again]
    assert same == []
    assert {*"".join(text for text, _ in texts)} <= TOKEN


def test_equal_values_have_one_text() -> None:
    first = Mutable(1)
    assert first.doubled == 2
    assert encode(first) == encode(Mutable(1)), "what is computed from the fields does not count"
    assert encode(Color.CRIMSON) == encode(Color.RED)
    assert encode({"a": 1, 2: {3, 4}}) == encode({2: {4, 3}, "a": 1})
    assert encode(Model(x=1)) == encode(Model(x=1, y=0))
    assert encode(float("nan")) == encode(-float("nan"))
    assert encode(np.arange(6).reshape(2, 3)) == encode(np.asfortranarray(np.arange(6).reshape(2, 3)))
    computed = Doubling(1)
    assert computed.doubled == 2
    assert encode(computed) == encode(Doubling(1))
    assert encode(Box[int]()) == encode(Box[int]())


@pytest.mark.invariant
@pytest.mark.parametrize(
    "value",
    [
        *[SecretStr("x"), [SecretStr("x")], np.zeros(5000), np.array([1.0]), object()],
        type("Mock", (), {"__repr__": lambda self: f"<Mock id='{id(self)}'>"})(),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("written", ["{value!s}", "{value!r}"])
def test_a_text_that_does_not_tell_an_object_from_others_is_no_part_of_a_key(value: Any, written: str) -> None:
    async def show(value: Any) -> None: ...

    with pytest.raises(UsageError, match="no value of its own"):
        KeyTemplate(show, written).key((value,), {})


def test_the_text_of_a_scalar_of_numpy_is_whole() -> None:
    async def show(value: Any) -> None: ...

    key = KeyTemplate(show, "{value!s}").key
    assert key((np.float32(0.1),), {}) != key((np.float32(0.1000001),), {})


class Plain: ...


class WithText:
    def __repr__(self) -> str:
        return "the same for all"

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return 1


class Tagged(str):
    tag: Any = None


@dataclass
class OverDict(dict[str, int]):
    x: int = 1


@attrs.define
class OverList(list[int]):
    x: int = 1


class Slotted(Mutable):
    __slots__ = ("more",)


@attrs.define
class Doubling:
    x: int

    @cached_property
    def doubled(self) -> int:
        return 2 * self.x


class Zone(tzinfo):
    def __init__(self) -> None:
        self.offset = timedelta(hours=1)

    def __repr__(self) -> str:
        return "Zone()"

    def utcoffset(self, _: datetime | None) -> timedelta:
        return self.offset


class Tenants(PurePosixPath):
    tenant: Any


class Private(BaseModel):
    x: int
    _session: Any = PrivateAttr(default_factory=Plain)


@dataclass(eq=False)
class Identity:
    x: int


@dataclass
class Hiding:
    x: int
    session: Any = field(default_factory=Plain, compare=False, repr=False)


def _tagged() -> Tagged:
    tagged = Tagged("x")
    tagged.tag = "y"
    return tagged


def _extended() -> Mutable:
    extended = Mutable(1)
    extended.session = Plain()  # type: ignore[attr-defined]
    return extended


def _slotted() -> Slotted:
    slotted = Slotted(1)
    slotted.more = 1  # type: ignore[misc]
    return slotted


def _path() -> Tenants:
    path = Tenants("x")
    path.tenant = 1
    return path


def _local() -> type:
    class Local: ...

    return Local


@pytest.mark.invariant
@pytest.mark.parametrize(
    "value",
    [
        *[Plain(), WithText(), _tagged(), Private(x=1), Identity(1), Hiding(1), _extended(), SecretStr("x"), _local()],
        *[
            len,
            lambda: None,
            iter([1]),
            object(),
            Exception("x"),
            memoryview(b"x"),
            [Plain()],
            {"a": Plain()},
            {Plain()},
        ],
        *[Point(Plain()), Model(x=Plain()), Row(Plain(), 1), {Plain(): 1}],
        *[OverDict(), OverList(), _slotted(), _path(), datetime(2026, 1, 1, tzinfo=Zone())],
        *[np.array([None]), np.zeros(1, [("x", "i8")]), np.ma.array([1]), np.longdouble(1)],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_value_of_its_own_is_refused(value: Any) -> None:
    with pytest.raises(NoValue):
        encode(value)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.datetimes()
) | (st.times() | st.timedeltas() | st.uuids() | st.sampled_from([*Color, *Word, *Number, *Rights]))
SMALL = st.sampled_from(
    ["1", 1, True, 1.0, b"1", "None", None, "", "a,b", "a", "b", (), [], Number.ONE, Word.RED, "red"]
)
VALUES = st.recursive(
    SMALL | SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.builds(Point, inner, inner)
        | st.builds(Point3, inner, inner)
        | st.builds(Model, x=inner)
        | st.builds(Row, inner, inner)
        | st.dictionaries(SMALL.filter(lambda key: not isinstance(key, list)), inner, max_size=3)
        | st.sets(SMALL.filter(lambda key: not isinstance(key, list)), max_size=3)
    ),
    max_leaves=6,
)
CALLS = st.tuples(
    st.lists(VALUES, max_size=3).map(tuple), st.dictionaries(st.sampled_from("abcde"), VALUES, max_size=2)
)


def same(one: Any, other: Any) -> bool:
    """Same types and values; NaN equals itself, a dict counts by its items, -0.0 is not 0.0."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return (one == other and str(one) == str(other)) or (one != one and other != other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and all(any(same(each, twin) for twin in other) for each in one)
    if isinstance(one, dict):
        return len(one) == len(other) and all(
            any(same(key, twin) and same(value, other[twin]) for twin in other) for key, value in one.items()
        )
    if isinstance(one, (Point, Model)):
        return same(vars(one), vars(other))
    return bool(one == other)


async def called(*places: Any, **names: Any) -> None: ...


@pytest.mark.fuzz
@pytest.mark.invariant
@PAIRS
@given(one=CALLS, other=CALLS | st.none())
def test_two_calls_share_a_cache_key_exactly_if_types_and_values_are_the_same(one: Any, other: Any) -> None:
    other = one if other is None else other
    key = KeyTemplate(called, None).key
    assert (key(*one) == key(*other)) == (same(one[0], other[0]) and same(one[1], other[1]))


@pytest.mark.fuzz
@pytest.mark.invariant
@PAIRS
@given(one=st.tuples(VALUES, VALUES), other=st.tuples(VALUES, VALUES), between=st.text(max_size=2))
def test_no_value_in_a_cache_key_poses_as_part_of_another(one: Any, other: Any, between: str) -> None:
    async def pair(a: Any, b: Any) -> None: ...

    separator = between.replace("{", "{{").replace("}", "}}")
    key = KeyTemplate(pair, f"{{a}}{separator}{{b}}").key
    assert (key(one, {}) == key(other, {})) == same(one, other)


Twin = namedtuple("Twin", "x y")


def test_named_tuples_are_no_tuples() -> None:
    assert len({encode(each) for each in (Twin(1, 2), Row(1, 2), (1, 2))}) == 3
