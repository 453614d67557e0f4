"""What classes are called in cache keys: by a name that every process knows, or by one that says that none does."""

from collections import namedtuple
from dataclasses import dataclass, make_dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

import pytest
from paceline.errors import UsageError
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.names import class_of_this_process
from paceline.resources.cache.redis import Read, RedisTier
from paceline.resources.cache.values import encode
from pydantic import BaseModel, create_model

pytestmark = pytest.mark.invariant

T = TypeVar("T")


@dataclass
class Point:
    x: int


class Outer:
    @dataclass
    class Inner:
        x: int


class Box(BaseModel, Generic[T]):
    item: T


Renamed = namedtuple("Other", "x")  # type: ignore[name-match]
Choice = Enum("Option", "A B")  # type: ignore[misc]


def made(tenant: str) -> Any:
    @dataclass
    class Query:
        page: int

        def rows(self) -> str:
            return tenant

    return Query


OfModule = made("module")
UNKNOWN: Any = (made("a"), create_model("Nowhere", x=(int, 0)))  # in no name of the module's


@pytest.mark.parametrize(
    "value", [Point(1), Outer.Inner(1), Renamed(1), Choice.A, Box[int](item=1), Box[Point](item=Point(1)), OfModule(1)]
)
def test_a_class_that_its_module_has_is_known_to_every_process(value: Any) -> None:
    assert class_of_this_process(encode(value)) is None


@pytest.mark.parametrize(
    "value",
    [
        UNKNOWN[0](1),
        [{"deep": (UNKNOWN[0](1),)}],
        UNKNOWN[1](),
        make_dataclass("Point", ["x"])(1),
        Enum("Choice", "A B").A,  # type: ignore[attr-defined]
        Box[UNKNOWN[0]](item=UNKNOWN[0](1)),
        Box[list[UNKNOWN[1]]](item=[]),
        UNKNOWN[1],
    ],
)
def test_a_class_that_is_found_nowhere_is_known_to_this_process_alone(value: Any) -> None:
    assert class_of_this_process(encode(value)) is not None


def test_generics_of_classes_that_share_a_name_have_names_of_their_own() -> None:
    one, other = create_model("Item", x=(int, 0)), create_model("Item", x=(int, 0))
    assert encode(Box[list[one]](item=[])) != encode(Box[list[other]](item=[]))  # type: ignore[valid-type]


async def load(query: Any, text: str = "") -> None: ...


@pytest.mark.parametrize("text", ["", "x" * 1000])
async def test_what_only_this_process_knows_is_neither_read_from_redis_nor_written_nor_silently_forgotten(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    key = KeyTemplate(load, "{text}:{query}").key((made("a")(1), text), {})
    nobody: Any = object()  # a client that is never asked
    tier = RedisTier("rows", lambda: nobody, lambda: nobody)

    assert await tier.get(key) == Read()
    assert "not shared through Redis" in caplog.text
    assert "made.<locals>.Query" in caplog.text
    with pytest.raises(UsageError, match=r"forgotten in this process alone: .*made\.<locals>\.Query"):
        await tier.forget(key)
