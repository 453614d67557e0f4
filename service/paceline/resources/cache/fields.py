"""The fields of objects that are equal by their fields: dataclasses, named tuples, models."""

import dataclasses
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any


def fields_of(value: Any) -> Mapping[str, Any] | None:
    """The fields by name; None for an object that is equal to itself alone, or that holds more than its fields."""
    kind = type(value)
    names = field_names(kind)
    if names is None:
        return None
    fields = {name: getattr(value, name) for name in names if hasattr(value, name)}
    if _is_model(kind):
        return fields | dict(value.__pydantic_extra__ or {}) | dict(value.__pydantic_private__ or {})
    return None if _more(value, names) else fields


def field_names(kind: Any) -> tuple[str, ...] | None:
    """The names of a class whose instances are equal by their fields; None for any other."""
    if hasattr(kind, "__dataclass_params__"):
        settings = kind.__dataclass_params__
        return tuple(field.name for field in dataclasses.fields(kind)) if settings.eq or settings.frozen else None
    if _is_model(kind):
        return tuple(kind.__pydantic_fields__)
    if hasattr(kind, "__attrs_attrs__"):
        return tuple(each.name for each in kind.__attrs_attrs__) if kind.__eq__ is not object.__eq__ else None
    if hasattr(kind, "__struct_fields__"):
        return tuple(kind.__struct_fields__) if kind.__struct_config__.eq else None
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    return None


def _is_model(kind: Any) -> bool:
    return hasattr(kind, "__pydantic_fields__") and hasattr(kind, "__pydantic_private__")


def _more(value: Any, names: Iterable[str]) -> bool:
    """Whether an instance holds what no field tells; what it computed from its fields does not count."""
    kind = type(value)
    others = set(getattr(value, "__dict__", ())) - {*names}
    return any(not isinstance(getattr(kind, name, None), cached_property) for name in others)
