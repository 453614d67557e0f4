"""What the annotation of a parameter says about its values: whether they can be part of a cache key."""

import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Final, Literal, NewType, TypeVar, Union, cast, get_args, get_origin

from paceline.resources.cache.fields import field_names
from paceline.resources.cache.values import supported

MISSING: Final = object()
_DEEP: Final = 8
_WITHOUT_ATTRIBUTES: Final = frozenset({bool, int, float, str, bytes, list, tuple, dict, set, frozenset})
"""Classes whose objects have the attributes of the class and no others."""


def annotations_of(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations that can be read now, by parameter: a class may be defined further down in its module."""
    plain = inspect.unwrap(function)
    names = getattr(plain, "__globals__", {})
    found: dict[str, Any] = {}
    for name, annotation in getattr(plain, "__annotations__", {}).items():
        holder: Any = SimpleNamespace(__annotations__={name: annotation})
        with suppress(Exception):  # anything can stand in an annotation; the first call decides then
            found |= typing.get_type_hints(holder, names, include_extras=True)
    return found


def without_value(annotation: Any, depth: int = 0) -> type | None:
    """The class in an annotation whose objects are equal to themselves alone; None where that cannot be known."""
    if depth > _DEEP or annotation in (Any, object) or annotation is MISSING:
        return None
    if isinstance(annotation, NewType):
        return without_value(annotation.__supertype__, depth + 1)
    if isinstance(annotation, TypeVar):
        return without_value(annotation.__bound__ or Any, depth + 1)
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _first(get_args(annotation), depth)
    if origin is Annotated:
        return without_value(bare(annotation), depth + 1)
    if origin is not None:
        return _of_generic(annotation, origin, depth)
    return _of_class(annotation, depth) if isinstance(annotation, type) else None


def bare(annotation: Any) -> Any:
    """`Annotated[T, …]` is T."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def attribute(annotation: Any, name: str) -> Any:
    """The annotation of an attribute; MISSING where that cannot be known.

    Raises:
        AttributeError: objects of this class have no such attribute.
    """
    annotation = bare(annotation)
    if not isinstance(annotation, type):
        return MISSING
    names = () if annotation in _WITHOUT_ATTRIBUTES else field_names(annotation)
    if names is None:
        return MISSING
    if name not in names and not hasattr(annotation, name):
        raise AttributeError(f"{annotation.__qualname__} has no attribute {name!r}")
    return _hints(annotation).get(name, MISSING)


def _of_generic(annotation: Any, origin: Any, depth: int) -> type | None:
    if origin in (Literal, type):
        return None
    if isinstance(origin, type) and (supported(origin) or origin.__module__ == "collections.abc"):
        return _first((each for each in get_args(annotation) if each is not ...), depth)
    return _of_class(origin, depth) if isinstance(origin, type) else None


def _of_class(kind: Any, depth: int) -> type | None:
    if supported(kind) or kind.__module__ in ("collections.abc", "typing"):
        return None
    if (names := field_names(kind)) is not None:
        hints = _hints(kind)
        return _first((hints[name] for name in names if name in hints), depth)
    if inspect.isabstract(kind) or getattr(kind, "_is_protocol", False) or typing.is_typeddict(kind):
        return None
    subclasses = kind.__subclasses__() if kind.__eq__ is object.__eq__ else ()
    return None if any(_of_class(each, depth + 1) is None for each in subclasses) else cast(type, kind)


def _first(annotations: Iterable[Any], depth: int) -> type | None:
    return next(filter(None, map(partial(without_value, depth=depth + 1), annotations)), None)


def _hints(kind: type) -> Mapping[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except Exception:  # as above
        return {}
