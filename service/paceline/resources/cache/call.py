"""One call of a cached function: what fetches its value, later and perhaps more than once."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from copy import deepcopy
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Final, get_origin
from uuid import UUID

from paceline.errors import UsageError
from paceline.resources.cache.values import NoValue, encode

_FIXED: Final = frozenset(
    {type(None), bool, int, float, complex, str, bytes, Decimal, UUID, date, datetime, time, timedelta}
)
_ONCE: Final = (Iterator, AsyncIterator, Awaitable)
"""What the first who reads it uses up."""


class Call:
    """Calls a function with what its arguments are when the fetch starts: the caller of a stale value, or one who gave
    up, may change a list meanwhile, and the fetched value would not belong to its key.

    Raises:
        UsageError: the value can be read once only, or is a response.
    """

    __slots__ = ("_arguments", "_function", "_options")

    def __init__(
        self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...], options: Mapping[str, Any]
    ) -> None:
        self._function = function
        self._arguments = arguments
        self._options = options

    async def __call__(self) -> Any:
        value = await self._function(*self._arguments, **self._options)
        if hasattr(value, "body_iterator"):
            raise UsageError(f"tune.cache: {_name(self._function)}() returned {_read_once(type(value))}")
        if (problem := _not_for_all(type(value))) is not None:
            raise UsageError(f"tune.cache: {_name(self._function)}() returned {problem}")
        return value

    def held(self) -> "Call":
        """The same call with copies of the values that can change."""
        if all(type(each) in _FIXED for each in (*self._arguments, *self._options.values())):
            return self
        options = {name: _copy(each) for name, each in self._options.items()}
        return Call(self._function, tuple(map(_copy, self._arguments)), options)


def check_returned(function: Callable[..., Any], annotation: Any) -> None:
    """
    Raises:
        UsageError: the return annotation is of values that can be read once only, or of responses.
    """
    kind = get_origin(annotation) or annotation
    if isinstance(kind, type) and (problem := _not_for_all(kind)) is not None:
        raise UsageError(f"tune.cache: {_name(function)}() returns {problem}")


def _not_for_all(kind: type) -> str | None:
    """Why values of a class must not be shared between callers; None: nothing is known against it."""
    if issubclass(kind, _ONCE):
        return _read_once(kind)
    if hasattr(kind, "set_cookie"):  # so in every framework; what an HTTP client received has none
        return (
            f"a {kind.__qualname__}, which belongs to one request: all callers would get its cookies and background "
            "tasks; return its content and make the response in the route, or use ResponseCacheMiddleware"
        )
    return None


def _read_once(kind: type) -> str:
    return f"a value of type {kind.__qualname__}, which only the first caller could read; return a list or bytes"


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", None) or type(function).__qualname__


def _copy(value: Any) -> Any:
    """Of a plain value; anything else, such as a session, is the caller's own."""
    if type(value) in _FIXED:
        return value
    try:
        encode(value)
        return deepcopy(value)
    except (NoValue, RecursionError, TypeError):
        return value
