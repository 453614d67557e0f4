"""Writes a value as text for a cache key: two values have the same text exactly if type and value are the same.

The text of a value ends where a character outside `TOKEN` follows, and brackets match: see `encode`.
"""

import ipaddress
import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import Enum, Flag
from fractions import Fraction
from pathlib import PurePath
from string import ascii_letters, digits
from types import GetSetDescriptorType, MappingProxyType, MemberDescriptorType
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from paceline.resources.cache import arrays
from paceline.resources.cache.fields import fields_of
from paceline.resources.cache.names import type_name

TOKEN: Final = frozenset(ascii_letters + digits + "_.~%-!'(),=+")
"""Every character that `encode` writes."""
_NUMBER: Final = frozenset(digits + "-")
_ADDRESS: Final = re.compile(r"\bat 0x[0-9a-fA-F]+")
_HIDDEN: Final = "**********"
"""What pydantic shows of a secret."""
_STANDARD: Final = frozenset({"uuid", "pathlib", "pathlib._local", "ipaddress"})
_BY_NAME: Final = frozenset({"datetime", "zoneinfo", "pytz", "dateutil", "pendulum"})
"""Packages whose time zones say by their `repr` which one they are."""


class NoValue(Exception):
    """The object has no value of its own, or none that could be told from others."""

    def __init__(self, kind: type, path: str = "") -> None:
        super().__init__(f"{path} of type {kind.__qualname__}")
        self.kind = kind
        self.path = path
        """Where in the argument it is: `.owner`, `[3]`."""


def encode(value: Any) -> str:
    """An int as its digits, a str quoted as in a URL (after `'` where it could be read as a number), anything else as
    `!type(content)`. Dataclasses, pydantic, attrs and msgspec models, and named tuples count by their fields, a dict
    by its items in any order, arrays of numpy by type, shape and elements. NaN equals itself; 0.0 and -0.0,
    Decimal("1.0") and Decimal("1.00") differ, for their texts do.

    Raises:
        NoValue: an object that is only equal to itself, such as a session, or of a type that is not known.
    """
    encoder = _ENCODERS.get(type(value))
    if encoder is not None:
        return encoder(value)
    if isinstance(value, type):
        return _class(value)
    return _of_class(value)


def text(value: str) -> str:
    """See `encode`."""
    if value.isalnum() and value.isascii() and value[0] not in _NUMBER:
        return value
    quoted = quote(value, safe="", errors="surrogatepass")
    return f"'{quoted}" if not quoted or quoted[0] in _NUMBER else quoted


def tells_apart(value: Any, written: str) -> bool:
    """Whether the text of an object tells it from others: it holds no address in memory, as the `repr` of an object
    without one of its own does, and no secret or part of an array is left out."""
    if type(value) in (str, int, float, bool):
        return True
    address = id(value)
    unsaid = _ADDRESS.search(written) or str(address) in written or f"{address:x}" in written.lower()
    return not (unsaid or _HIDDEN in written or arrays.is_abridged(value))


def supported(kind: type) -> bool:
    """Whether values of this very type can be encoded, as far as the type alone tells."""
    return kind in _ENCODERS or issubclass(kind, (Enum, type, *_BASES)) or arrays.is_array(kind)


def _integer(value: int) -> str:
    try:
        return str(value)
    except ValueError:  # more digits than Python writes in decimal
        return f"!int({value:x})"


def _call(name: str, parts: list[str]) -> str:
    return f"!{name}({','.join(parts)})"


def _items(name: str) -> Callable[[Any], str]:
    def encode_items(values: Any) -> str:
        return _call(name, [_within(each, f"[{place}]") for place, each in enumerate(values)])

    return encode_items


def _unordered(name: str) -> Callable[[Any], str]:
    return lambda values: _call(name, sorted(_within(each, "{…}") for each in values))


def _within(value: Any, place: str) -> str:
    try:
        return encode(value)
    except NoValue as error:
        raise NoValue(error.kind, place + error.path) from None


def _pairs(items: Mapping[Any, Any]) -> list[str]:
    return [f"{_within(key, ' key')}={_within(value, f'[{key!r:.40}]')}" for key, value in items.items()]


def _datetime(value: datetime) -> str:
    plain = datetime.isoformat(value, timespec="microseconds")[:26]
    return _call("datetime", [text(plain), str(_of(datetime, "fold", value)), _zone(value.tzinfo, value)])


def _time(value: time) -> str:
    plain = time.isoformat(value, timespec="microseconds")[:15]
    return _call("time", [text(plain), str(_of(time, "fold", value)), _zone(value.tzinfo, None)])


def _of(base: Any, name: str, value: Any) -> Any:
    """An attribute as the base class has it, whatever a subclass makes of it."""
    return vars(base)[name].__get__(value)


def _zone(zone: tzinfo | None, moment: datetime | None) -> str:
    if zone is None:
        return "!none"
    kind = type(zone)
    if isinstance(zone, ZoneInfo):
        if zone.key is None:
            raise NoValue(kind, ".tzinfo")
        return _call(type_name(kind), [text(zone.key)])
    by_name = kind.__module__.partition(".")[0] in _BY_NAME
    if not by_name and not _adds_nothing(zone, tzinfo):
        raise NoValue(kind, ".tzinfo")
    written = repr(zone) if by_name else ""
    if not tells_apart(zone, written):
        raise NoValue(kind, ".tzinfo")
    return _call(type_name(kind), [text(written), text(str(zone.utcoffset(moment)))])


def _duration(value: timedelta) -> str:
    days, seconds, microseconds = (_of(timedelta, name, value) for name in ("days", "seconds", "microseconds"))
    return f"!timedelta({days},{seconds},{microseconds})"


def _decimal(value: Decimal) -> str:
    sign, figures, exponent = Decimal.as_tuple(value)
    return _call("decimal", [str(sign), "".join(map(str, figures)), str(exponent)])


def _complex(value: complex) -> str:
    real, imaginary = (_of(complex, name, value) for name in ("real", "imag"))
    return f"!complex({real!r},{imaginary!r})"


_BASES: Final[Mapping[type, Callable[[Any], str]]] = MappingProxyType(
    {
        str: lambda value: text(str.__str__(value)),
        int: lambda value: _integer(int.__int__(value)),
        float: lambda value: f"!float({float.__float__(value)!r})",
        complex: _complex,
        bytes: lambda value: f"!bytes({bytes.hex(value)})",
        Decimal: _decimal,
        UUID: lambda value: f"!uuid({_of(UUID, 'int', value):032x})",
        datetime: _datetime,
        date: lambda value: _call("date", [text(date.isoformat(value))]),
        time: _time,
        timedelta: _duration,
        Fraction: lambda value: (
            f"!fraction({_of(Fraction, '_numerator', value)},{_of(Fraction, '_denominator', value)})"
        ),
        PurePath: lambda value: _call("path", [text(PurePath.__str__(value))]),
        ipaddress._BaseAddress: lambda value: _call("ip", [text(str(value))]),
        ipaddress._BaseNetwork: lambda value: _call("ip", [text(str(value))]),
    }
)
"""Types that subclasses are allowed of, if they add nothing but methods."""

_ENCODERS: Final[Mapping[type, Callable[[Any], str]]] = MappingProxyType(
    {
        **{kind: _BASES[kind] for kind in (complex, bytes, Decimal, UUID, datetime, date, time, timedelta, Fraction)},
        int: _integer,
        str: text,
        float: lambda value: f"!float({value!r})",
        bool: lambda value: "!true" if value else "!false",
        type(None): lambda _: "!none",
        type(...): lambda _: "!ellipsis",
        bytearray: lambda value: f"!bytearray({value.hex()})",
        timezone: lambda value: _zone(value, None),
        ZoneInfo: lambda value: _zone(value, None),
        range: lambda value: f"!range({value.start},{value.stop},{value.step})",
        tuple: _items("tuple"),
        list: _items("list"),
        set: _unordered("set"),
        frozenset: _unordered("frozenset"),
        dict: lambda value: _call("dict", sorted(_pairs(value))),
        MappingProxyType: lambda value: _call("mappingproxy", sorted(_pairs(value))),
        OrderedDict: lambda value: _call("ordereddict", _pairs(value)),
    }
)


def _of_class(value: Any) -> str:
    kind = type(value)
    if isinstance(value, Enum):
        return _enum(value)
    fields = fields_of(value)
    if fields is not None:
        parts = [f"{text(name)}={_within(each, f'.{name}')}" for name, each in fields.items()]
        return _call(type_name(kind), parts)
    for base, encoder in _BASES.items():
        if isinstance(value, base) and _adds_nothing(value, base):
            return _call(type_name(kind), [encoder(value)])
    if arrays.is_array(kind) and (content := arrays.content(value)) is not None:
        return _call(type_name(kind), [content])
    raise NoValue(kind)


def _enum(value: Enum) -> str:
    parts = [_integer(value.value)] if isinstance(value, Flag) else [text(value.name)]
    with suppress(NoValue):
        parts.append(encode(value.value))
    return _call(type_name(type(value)), parts)


def _class(value: type) -> str:
    """Classes made in a function share a name: every call makes another."""
    if "<locals>" in value.__qualname__:
        raise NoValue(type(value))
    return _call("class", [type_name(value)])


def _adds_nothing(value: Any, base: type) -> bool:
    """Whether nothing is in a subclass's instance but the value of the base."""
    own = next(each for each in type(value).__mro__ if each is base or each.__module__ in _STANDARD)
    if own is type(value):
        return True  # the standard library's keep their value in attributes
    between = (each for each in type(value).__mro__ if each is not base and issubclass(each, base))
    states = (
        attribute
        for each in between
        if each.__module__ not in _STANDARD
        for name, attribute in vars(each).items()
        if name[:2] != "__"
    )
    return not getattr(value, "__dict__", None) and not any(
        isinstance(each, (MemberDescriptorType, GetSetDescriptorType)) for each in states
    )
