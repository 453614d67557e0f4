"""Chooses how a function's answers become bytes, by its return annotation."""

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import orjson
from pydantic import PydanticUserError, TypeAdapter

from paceline.errors import UsageError
from paceline.resources.cache.entry import Serializer


class Raw:
    """Bytes as they are."""

    def dumps(self, value: bytes, /) -> bytes:
        return value

    def loads(self, content: bytes, /) -> bytes:
        return content


class Json:
    """orjson: for dict, list, str, int, float, bool and None."""

    def dumps(self, value: Any, /) -> bytes:
        return orjson.dumps(value)

    def loads(self, content: bytes, /) -> Any:
        return orjson.loads(content)


class Typed:
    """JSON through pydantic, for an annotated type: what is read has the type that was written, not a dict."""

    def __init__(self, annotation: Any) -> None:
        self._adapter: TypeAdapter[Any] = TypeAdapter(annotation)

    def dumps(self, value: Any, /) -> bytes:
        return self._adapter.dump_json(value)

    def loads(self, content: bytes, /) -> Any:
        return self._adapter.validate_json(content)


def serializer_for(function: Callable[..., Any]) -> Serializer:
    """`bytes` stay as they are, plain JSON types go through orjson, other annotations through pydantic.

    Raises:
        UsageError: the annotation is of a type that has no form in JSON.
    """
    try:
        annotation = get_type_hints(function).get("return", inspect.Parameter.empty)
    except NameError as error:
        raise UsageError(
            f"tune.cache: the return annotation of {function.__qualname__} cannot be read ({error}); "
            "pass serializer= with dumps and loads"
        ) from error
    if annotation is bytes:
        return Raw()
    if annotation in (inspect.Parameter.empty, Any, None, type(None), dict, list, str, int, float, bool):
        return Json()
    try:
        return Typed(annotation)
    except PydanticUserError as error:
        raise UsageError(
            f"tune.cache: answers of {function.__qualname__} ({annotation}) cannot be kept in Redis; "
            "pass serializer= with dumps and loads, or return bytes"
        ) from error
