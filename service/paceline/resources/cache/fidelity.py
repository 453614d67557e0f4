"""Whether a value that went through a serializer is what it was: same types, same content."""

import pickle
from collections.abc import Iterable, Mapping
from datetime import datetime, time, timezone
from typing import Any, Final

from paceline.resources.cache.fields import attribute_names, fields_of
from paceline.resources.cache.values import NoValue, encode

_SCALARS: Final = (str, bytes, bytearray, int, float, bool, type(None))


def difference(one: Any, other: Any, place: str = "the value") -> str | None:
    """What the first difference is, in words: `['when'] is a datetime and comes back as a str`; None: there is none."""
    if type(one) is not type(other):
        return f"{place} is of type {type(one).__qualname__} and comes back as {type(other).__qualname__}"
    if type(one) in _SCALARS:
        return None if one == other or (one != one and other != other) else f"{place} comes back changed"
    pairs = _parts(one, other, place)
    if pairs is None:
        return None if _equal(one, other) else f"{place} of type {type(one).__qualname__} comes back changed"
    return next(filter(None, (difference(*pair) for pair in pairs)), None)


def _parts(one: Any, other: Any, place: str) -> Iterable[tuple[Any, Any, str]] | None:
    """What is to be compared within; None for something without parts."""
    if isinstance(one, (list, tuple)):
        within = [(a, b, f"{place}[{i}]") for i, (a, b) in enumerate(zip(one, other, strict=False))]
        return [(len(one), len(other), f"the length of {place}"), *within]
    if isinstance(one, Mapping):
        keys = [(a, b, f"a key of {place}") for a, b in zip(one, other, strict=False)]
        values = [(value, other[key], f"{place}[{key!r:.40}]") for key, value in one.items() if key in other]
        return [(len(one), len(other), f"the length of {place}"), *keys, *values]
    fields, others = fields_of(one), fields_of(other)
    if fields is None or others is None:
        return _attributes(one, other, place)
    return [(value, others.get(name), f"{place}.{name}") for name, value in fields.items()]


def _attributes(one: Any, other: Any, place: str) -> Iterable[tuple[Any, Any, str]] | None:
    if _compares(one) or isinstance(one, type) or not (names := attribute_names(one)):
        return None
    return [(getattr(one, name), getattr(other, name, None), f"{place}.{name}") for name in names]


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, (datetime, time)) and isinstance(one.tzinfo, timezone) and one.tzinfo == other.tzinfo:
        one, other = one.replace(tzinfo=None), other.replace(tzinfo=None)  # pydantic has a class of its own for them
    try:
        return encode(one) == encode(other)
    except NoValue:
        pass
    if not _compares(one):
        return True
    try:
        return bool(one == other)
    except Exception:  # a table compares cell by cell
        return pickle.dumps(one) == pickle.dumps(other)


def _compares(value: Any) -> bool:
    """Whether its class says what makes two of its objects equal."""
    compare: Any = type(value).__eq__
    return compare is not object.__eq__
