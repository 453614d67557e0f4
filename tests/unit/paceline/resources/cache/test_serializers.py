"""What comes out of Redis has the type that went in."""

from dataclasses import dataclass
from typing import Any

import pytest
from paceline.errors import UsageError
from paceline.resources.cache.serializers import serializer_for
from pydantic import BaseModel


class Product(BaseModel):
    name: str


@dataclass
class Point:
    x: int


class Opaque:
    pass


async def models() -> list[Product]:
    return [Product(name="a")]


async def points() -> dict[str, Point]:
    return {"a": Point(1)}


async def content() -> bytes:
    return b"\xff\x00"


async def rows() -> list[dict[str, Any]]:
    return [{"a": 1, "b": None}]


async def unannotated():  # type: ignore[no-untyped-def]
    return {"a": [1, 2.5, "x"]}


@pytest.mark.parametrize("function", [models, points, content, rows, unannotated])
async def test_a_value_comes_back_equal_and_of_its_type(function: Any) -> None:
    value = await function()
    serializer = serializer_for(function)
    again = serializer.loads(serializer.dumps(value))
    assert again == value
    assert type(again) is type(value)


async def opaque() -> Opaque:
    return Opaque()


async def unreadable() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
    return None


@pytest.mark.parametrize(("function", "says"), [(opaque, "cannot be cached in Redis"), (unreadable, "cannot be read")])
def test_a_type_without_a_form_is_refused_with_advice(function: Any, says: str) -> None:
    with pytest.raises(UsageError, match=rf"{function.__name__} .*{says}.*pass serializer="):
        serializer_for(function)
