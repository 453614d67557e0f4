"""What comes out of Redis has the type that went in."""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from paceline.errors import UsageError
from paceline.resources.cache.fidelity import difference
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


class Event(BaseModel):
    at: datetime
    begins: time = time(1)


async def event() -> Event:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("zone", "comes_back"),
    [(None, True), (UTC, True), (timezone(timedelta(hours=-7)), True), (ZoneInfo("Europe/Berlin"), False)],
)
def test_a_moment_in_a_model_comes_back_unless_its_zone_is_lost(zone: tzinfo | None, comes_back: bool) -> None:
    """As drivers return it: pydantic reads the zone into a class of its own, which equals Python's."""
    serializer = serializer_for(event)
    value = Event(at=datetime(2026, 10, 25, 2, 30, tzinfo=zone), begins=time(2, tzinfo=zone))
    again = serializer.loads(serializer.dumps(value))
    assert (difference(value, again) is None) is comes_back
    assert difference(value, again.model_copy(update={"at": again.at + timedelta(seconds=1)})) is not None


async def opaque() -> Opaque:
    return Opaque()


async def unreadable() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821
    return None


@pytest.mark.parametrize(("function", "says"), [(opaque, "cannot be cached in Redis"), (unreadable, "cannot be read")])
def test_a_type_without_a_form_is_refused_with_advice(function: Any, says: str) -> None:
    with pytest.raises(UsageError, match=rf"{function.__name__} .*{says}.*pass serializer="):
        serializer_for(function)
