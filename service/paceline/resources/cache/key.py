"""Turns the arguments of a call into a cache key. Two calls share a key only if they mean the same."""

import inspect
from collections.abc import Callable, Mapping
from string import Formatter
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from paceline.errors import UsageError

_PLAIN: Final = (bool, int, float, str, bytes, type(None))


class KeyTemplate:
    """`"products:{page}"` filled from a function's arguments, given by place, by name or by default.

    Without a template all arguments count, and each must be a plain value. Strings are quoted, so that no argument can
    pose as a separator: of `"{a}:{b}"` the calls ("x:y", "z") and ("x", "y:z") have different keys.

    Raises:
        UsageError: the template names a parameter that the function does not have.
    """

    def __init__(self, function: Callable[..., Any], template: str | None) -> None:
        parameters = inspect.signature(function).parameters
        self._function = function.__qualname__
        self._names = tuple(parameters)
        self._defaults: Mapping[str, Any] = MappingProxyType(
            {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
        )
        self._only_plain = template is None
        self._template = ":".join(f"{name}={{{name}}}" for name in self._names) if template is None else template
        self._fields = tuple(field for _, field, _, _ in Formatter().parse(self._template) if field is not None)
        unknown = sorted({*self._fields} - {*self._names})
        if unknown:
            raise UsageError(
                f"tune.cache: key {self._template!r} names {unknown[0]!r}, no parameter of {self._function}"
            )

    def key(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """The key of a call.

        Raises:
            TypeError: an argument that the key needs is missing.
            UsageError: without a template: an argument is not a plain value.
        """
        if not self._fields:
            return self._template
        given = {**self._defaults, **dict(zip(self._names, arguments, strict=False)), **options}
        try:
            values = {name: self._quoted(name, given[name]) for name in self._fields}
        except KeyError as error:
            raise TypeError(f"{self._function}() misses the argument {error}") from None
        return self._template.format_map(values)

    def _quoted(self, name: str, value: Any) -> str:
        if isinstance(value, str):
            return quote(value, safe="")
        if self._only_plain and not isinstance(value, _PLAIN):
            raise UsageError(
                f"tune.cache: {self._function}() got {name} of type {type(value).__qualname__}, which cannot be part "
                f"of a key; name the arguments that matter: key='…:{{argument}}'"
            )
        return quote(str(value), safe="")
