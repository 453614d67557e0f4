"""Results that are JSON already, dictionaries and lists of them: written as FastAPI writes them, without its copy."""

import json
from typing import Any, Final

from starlette.responses import JSONResponse

_SCALARS: Final = frozenset((str, int, float, bool, type(None)))
_encode: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def is_written_as_usual(response_class: type[Any]) -> bool:
    """Whether a response of this class has the bytes that `written` makes."""
    render: Any = JSONResponse.render
    return response_class is JSONResponse and render.__globals__.get("__name__") == JSONResponse.__module__


def is_plain(value: Any) -> bool:
    """Whether FastAPI's encoder would give it back as it is: exactly these types, no key that is left out."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is dict:
        return all(type(key) is str and key[:3] != "_sa" and is_plain(item) for key, item in value.items())
    return kind is list and all(map(is_plain, value))


def written(value: Any) -> bytes:
    """The bytes of Starlette's JSONResponse.

    Raises:
        ValueError: a number that JSON has no form for.
    """
    return _encode(value).encode()
