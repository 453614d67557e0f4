"""The fields of objects that are equal by their fields: dataclasses, named tuples, models."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from types import MemberDescriptorType
from typing import Any, Final

_IMMUTABLE: Final = 1 << 8
"""Py_TPFLAGS_IMMUTABLETYPE: a class written in C."""
_NO_STATE: Final = frozenset({"__dict__", "__weakref__"})


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """The fields by name; None for an object that is equal to itself alone, or that holds more than its fields."""
    kind = type(value)
    names = field_names(kind)
    if names is None or _more(value, names):
        return None
    if issubclass(kind, tuple):
        return {names[i] if i < len(names) else str(i): each for i, each in enumerate(tuple.__iter__(value))}
    fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
    if _is_model(kind):
        others = {"extra": value.__pydantic_extra__, "private": value.__pydantic_private__}
        fields |= {f"__pydantic_{what}__": dict(given) for what, given in others.items() if given}
    return fields


def field_names(kind: Any) -> tuple[str, ...] | None:
    """The names of a class whose instances are equal by their fields; None for any other."""
    if hasattr(kind, "__struct_fields__"):
        return tuple(kind.__struct_fields__) if kind.__struct_config__.eq else None
    if issubclass(kind, tuple):
        return tuple(kind._fields) if hasattr(kind, "_fields") else None
    if any(map(_holds_more, kind.__mro__)):
        return None
    if hasattr(kind, "__dataclass_params__"):
        settings = kind.__dataclass_params__
        return tuple(field.name for field in dataclasses.fields(kind)) if settings.eq or settings.frozen else None
    if _is_model(kind):
        return tuple(kind.__pydantic_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(each.name for each in kind.__attrs_attrs__) if kind.__eq__ is not object.__eq__ else None
    return None


def attribute_names(value: Any) -> tuple[str, ...]:
    """What an object holds, in its dictionary and in slots."""
    slots = (name for name in _slots(type(value), ()) if hasattr(value, name))
    return (*getattr(value, "__dict__", ()), *slots)


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_fields__") and hasattr(kind, "__pydantic_private__")


def _holds_more(base: Any) -> bool:
    """Whether a base class keeps something that no field tells, as `dict`, `str` and `Exception` do."""
    in_c = base.__flags__ & _IMMUTABLE and base.__module__ not in ("typing", "_typing")
    return bool(in_c) and (base.__basicsize__ > object.__basicsize__ or base.__itemsize__ > 0)


def _more(value: Any, names: Iterable[str]) -> bool:
    """Whether an instance holds what no field tells; what it computed from its fields does not count."""
    kind = type(value)
    if _is_model(kind):
        return any(hasattr(value, name) for name in _slots(kind, names))
    others = set(getattr(value, "__dict__", ())) - {*names}
    computed = all(isinstance(getattr(kind, name, None), cached_property) for name in others)
    return not computed or any(hasattr(value, name) for name in _slots(kind, names))


def _slots(kind: type, names: Iterable[str]) -> Iterator[str]:
    """The slots that are no fields. Those of an attrs class are its fields, and what is computed of them."""
    fields = {*names}
    for each in kind.__mro__:
        if each.__module__.partition(".")[0] == "pydantic" or "__attrs_attrs__" in vars(each):
            continue
        for name, state in vars(each).items():
            if isinstance(state, MemberDescriptorType) and name not in fields and name not in _NO_STATE:
                yield name
