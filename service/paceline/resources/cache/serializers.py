"""Chooses how a function's values become bytes, by its return annotation."""

import inspect
from collections.abc import Callable
from functools import cached_property
from hashlib import blake2b
from types import SimpleNamespace, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import orjson
from pydantic import PydanticUserError, TypeAdapter

from paceline.errors import UsageError
from paceline.resources.cache.entry import Serializer
from paceline.resources.cache.plain import Plain, plain


class Raw:
    """Bytes as they are."""

    fingerprint = "raw-1"

    def dumps(self, value: bytes, /) -> bytes:
        """
        Raises:
            TypeError: it is of another type.
        """
        if type(value) is not bytes:
            raise TypeError(f"the value is of type {type(value).__qualname__}, not bytes as annotated")
        return value

    def loads(self, content: bytes, /) -> bytes:
        return content


class Typed:
    """JSON through pydantic, for an annotated type: what is read has the type that was written, not a dict."""

    def __init__(self, annotation: Any) -> None:
        self._annotation = annotation
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the fields of the models in it."""
        try:
            schema = orjson.dumps(self._adapter.json_schema(), option=orjson.OPT_SORT_KEYS)
        except Exception:  # some types have no schema; then the annotation has to do
            schema = b""
        return f"typed-1 {self._annotation!r} {schema.decode()}"

    def dumps(self, value: Any, /) -> bytes:
        """
        Raises:
            ValueError: it is of another type than annotated.
        """
        return self._adapter.dump_json(value, by_alias=True, warnings="error")

    def loads(self, content: bytes, /) -> Any:
        return self._adapter.validate_json(content)


def fingerprint(serializer: Serializer, meaning: str = "") -> str:
    """Of the shape that a serializer stores, and of what the keys mean, twelve hex digits. The shape is an attribute
    `fingerprint` of the serializer, or its class."""
    kind = type(serializer)
    shape = getattr(serializer, "fingerprint", None) or f"{kind.__module__}.{kind.__qualname__}"
    return blake2b(f"{shape}\0{meaning}".encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


def serializer_for(function: Callable[..., Any]) -> Serializer:
    """`bytes` stay as they are, Python's own types are stored with their types, other annotations through pydantic.

    Raises:
        UsageError: the annotation is of a type that has no form in JSON.
    """
    try:
        annotation = _returned(function)
    except Exception as error:
        raise UsageError(
            f"tune.cache: the return annotation of {function.__qualname__} cannot be read ({error}); "
            "pass serializer= with dumps and loads"
        ) from error
    if annotation is bytes:
        return Raw()
    if _is_plain(annotation):
        return Plain(annotation)
    try:
        return Typed(annotation)
    except PydanticUserError as error:
        raise UsageError(
            f"tune.cache: values of {function.__qualname__} ({annotation}) cannot be cached in Redis; "
            "pass serializer= with dumps and loads, or return bytes"
        ) from error


def returned(function: Callable[..., Any]) -> Any:
    """The return annotation as far as it can be read now."""
    try:
        return _returned(function)
    except Exception:  # anything can stand in an annotation
        return inspect.Parameter.empty


def _returned(function: Callable[..., Any]) -> Any:
    """The return annotation alone: those of parameters may name what is imported for type checkers only."""
    plain = inspect.unwrap(function)
    written = {name: each for name, each in getattr(plain, "__annotations__", {}).items() if name == "return"}
    holder: Any = SimpleNamespace(__annotations__=written)
    names = getattr(plain, "__globals__", {})
    return get_type_hints(holder, names).get("return", inspect.Parameter.empty)


def _is_plain(annotation: Any) -> bool:
    if annotation in (inspect.Parameter.empty, Any, None, object, ...):
        return True
    origin = get_origin(annotation)
    if origin is None:
        return plain(annotation)
    return (origin in (Union, UnionType) or plain(origin)) and all(map(_is_plain, get_args(annotation)))
