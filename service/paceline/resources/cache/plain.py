"""Python's own values as JSON that names their types: a datetime or a tuple comes back as one."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from math import isfinite
from types import MappingProxyType
from typing import Any, Final
from uuid import UUID

import orjson

from paceline.resources.cache.values import supported

_TYPE: Final = "\0"
"""The one key of a JSON object that stands for a value of another type: `{"\\0": [type, content]}`."""
_MOST: Final = 2**63 - 1


class Plain:
    """For None, bool, int, float, str, bytes, dates and times, UUID, Decimal, and list, tuple, set and dict of them."""

    def __init__(self, annotation: Any = None) -> None:
        self.fingerprint = f"plain-1 {annotation!r}"

    def dumps(self, value: Any, /) -> bytes:
        """
        Raises:
            TypeError: a value of another type.
        """
        return orjson.dumps(_wire(value))

    def loads(self, content: bytes, /) -> Any:
        return _value(orjson.loads(content))


def plain(kind: Any) -> bool:
    """Whether values of exactly this type can be stored."""
    return kind in _PLAIN or (isinstance(kind, type) and supported(kind) and kind in _TAGGED)


def _wire(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN and _as_it_is(value):
        return value
    if kind is list:
        return [_wire(each) for each in value]
    if kind is dict and all(type(key) is str and key != _TYPE and _as_it_is(key) for key in value):
        return {key: _wire(each) for key, each in value.items()}
    tag = _TAGGED.get(kind)
    if tag is None:
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} has no form in Redis")
    return {_TYPE: [kind.__name__, tag[0](value)]}


def _as_it_is(value: Any) -> bool:
    """Whether JSON holds it without a loss: integers of 64 bits, no NaN, no half of a surrogate pair."""
    if type(value) is int:
        return -_MOST <= value <= _MOST
    if type(value) is float:
        return isfinite(value)
    return type(value) is not str or value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value)


def _value(wire: Any) -> Any:
    if type(wire) is list:
        return [_value(each) for each in wire]
    if type(wire) is not dict:
        return wire
    if wire.keys() == {_TYPE}:
        name, content = wire[_TYPE]
        return _BY_NAME[name](content)
    return {key: _value(each) for key, each in wire.items()}


def _values(content: list[Any]) -> list[Any]:
    return [_value(each) for each in content]


def _duration(value: timedelta) -> list[int]:
    return [value.days, value.seconds, value.microseconds]


_Tag = tuple[Callable[[Any], Any], Callable[[Any], Any]]
_PLAIN: Final = frozenset({type(None), bool, int, float, str})
_TAGGED: Final[Mapping[Any, _Tag]] = MappingProxyType(
    {
        int: (str, int),
        float: (repr, float),
        str: (
            lambda value: value.encode("utf-8", "surrogatepass").hex(),
            lambda h: bytes.fromhex(h).decode("utf-8", "surrogatepass"),
        ),
        bytes: (bytes.hex, bytes.fromhex),
        Decimal: (str, Decimal),
        UUID: (str, UUID),
        date: (date.isoformat, date.fromisoformat),
        datetime: (
            lambda value: [value.isoformat(), value.fold],
            lambda c: datetime.fromisoformat(c[0]).replace(fold=c[1]),
        ),
        time: (lambda value: [value.isoformat(), value.fold], lambda c: time.fromisoformat(c[0]).replace(fold=c[1])),
        timedelta: (_duration, lambda content: timedelta(*content)),
        list: (lambda value: [_wire(each) for each in value], _values),
        tuple: (lambda value: [_wire(each) for each in value], lambda content: tuple(_values(content))),
        set: (lambda value: [_wire(each) for each in value], lambda content: set(_values(content))),
        frozenset: (lambda value: [_wire(each) for each in value], lambda content: frozenset(_values(content))),
        dict: (
            lambda value: [[_wire(key), _wire(each)] for key, each in value.items()],
            lambda content: {_value(key): _value(each) for key, each in content},
        ),
    }
)
_BY_NAME: Final = {kind.__name__: tag[1] for kind, tag in _TAGGED.items()}
