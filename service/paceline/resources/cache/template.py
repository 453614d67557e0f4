"""The template of a cache key, taken apart once: `"orders:{customer.id}:{page:03d}"`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from string import Formatter
from typing import Any, Final
from urllib.parse import quote

from paceline.errors import UsageError
from paceline.resources.cache.annotations import MISSING, attribute, bare, without_value
from paceline.resources.cache.names import type_name
from paceline.resources.cache.values import TOKEN, NoValue, encode, tells_apart

_FIELD: Final = re.compile(r"([^\W\d]\w*)((?:\.[^\W\d]\w*|\[[^\[\]{}]+\])*)")
_STEP: Final = re.compile(r"\.(\w+)|\[([^\]]+)\]")
_CONVERSIONS: Final[Mapping[str, Callable[[Any], str]]] = {"s": str, "r": repr, "a": ascii}
_SAMPLES: Final[Mapping[Any, Any]] = {
    **{int: 1, float: 1.0, str: "x", bool: True, Decimal: Decimal(1)},
    **{date: date(2000, 1, 1), datetime: datetime(2000, 1, 1), time: time(1)},  # noqa: DTZ001 - only formatted
}


@dataclass(frozen=True, slots=True)
class Field:
    """A part of a template and the literal in front of it."""

    literal: str
    name: str
    """The parameter."""
    steps: tuple[tuple[str, str], ...]
    """(attribute, "") or ("", index), from the argument to what counts."""
    conversion: str | None
    spec: str
    written: str
    """As in the template, for messages."""

    def token(self, argument: Any) -> str:
        """What counts of an argument, as a token that no other value of the field has.

        Raises:
            NoValue: it has none.
            Exception: an attribute is missing, or the format does not fit.
        """
        value = argument
        for name, index in self.steps:
            value = getattr(value, name) if name else value[int(index) if index.isdecimal() else index]
        if self.conversion is None and not self.spec:
            return encode(value)
        whole = value if self.conversion is None else _CONVERSIONS[self.conversion](value)
        shown = format(whole, self.spec)
        # Before the format too: of a text that it cuts off, the beginning looks like any.
        if not (tells_apart(value, shown) and (self.conversion is None or tells_apart(value, whole))):
            raise NoValue(type(value))
        written = quote(shown, safe="", errors="surrogatepass")
        return written if type(value) is int else f"!text({type_name(type(value))},{written})"


def parse(template: object, function: str) -> tuple[tuple[Field, ...], str]:
    """The fields, and the literal behind the last one.

    Raises:
        UsageError: it is no template, or a field is no parameter's.
    """
    if not isinstance(template, str):
        raise UsageError(
            f"tune.cache: key must be a template such as 'products:{{page}}', got {template!r:.60} for {function}"
        )
    fields: list[Field] = []
    literal = ""
    try:
        for before, name, spec, conversion in Formatter().parse(template):
            literal += before
            if name is not None:
                fields.append(_field(_apart(literal, bool(fields)), name, spec or "", conversion))
                literal = ""
    except ValueError as error:
        raise UsageError(
            f"tune.cache: key {template!r} of {function} cannot be read: {error}; "
            "write fields as {name}, {name.attribute}, {name[key]} or {name:format}, and a brace as {{ or }}"
        ) from error
    return tuple(fields), literal


def _field(literal: str, written: str, spec: str, conversion: str | None) -> Field:
    match = _FIELD.fullmatch(written)
    if match is None:
        raise ValueError(f"{{{written}}} names no parameter")
    if "{" in spec:
        raise ValueError(f"the format of {{{written}}} must not hold another field")
    if conversion is not None and conversion not in _CONVERSIONS:
        raise ValueError(f"unknown conversion !{conversion}")
    steps = tuple((step[1] or "", step[2] or "") for step in _STEP.finditer(match[2]))
    shown = written + (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
    return Field(literal, match[1], steps, conversion, spec, f"{{{shown}}}")


def _apart(literal: str, follows: bool) -> str:
    """Between two fields stands something that no token holds, so that none runs into the next one."""
    return f"|{literal}" if follows and (not literal or literal[0] in TOKEN) else literal


def check(field: Field, annotation: Any) -> None:
    """What an annotation tells about a field before the first call.

    Raises:
        NoValue: objects of its class have no value of their own.
        Exception: there is no such attribute, or the format does not fit.
    """
    for name, _ in field.steps:
        annotation = attribute(annotation, name) if name else MISSING
    if field.conversion is None and field.spec:
        if isinstance(kind := bare(annotation), type) and kind in _SAMPLES:
            format(_SAMPLES[kind], field.spec)
    elif field.conversion is None and (found := without_value(annotation)) is not None:
        raise NoValue(found)
