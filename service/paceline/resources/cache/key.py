"""Turns the arguments of a call into a cache key. Two calls share a key only if they mean the same."""

import inspect
from collections.abc import Callable, Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

from paceline.errors import UsageError
from paceline.resources.cache.annotations import MISSING, annotations_of
from paceline.resources.cache.names import mark_of
from paceline.resources.cache.signature import NotForPlainValues, signature_of
from paceline.resources.cache.template import Field, check, parse
from paceline.resources.cache.values import NoValue

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_BY_PLACE: Final = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_LONGEST: Final = 512
"""Characters; of a longer key the beginning and a digest remain, together longer than any whole one."""


class KeyTemplate:
    """`"products:{page}"` filled from a call's arguments, bound as Python binds them. Without a template all count.

    The values are written with their types (see `values.encode`), and no argument can pose as a separator: of
    `"{a}:{b}"` the calls ("x:y", "z") and ("x", "y:z") have different keys, as have 1 and "1".

    Raises:
        UsageError: the template is broken or names no parameter, or an annotation tells that an argument has no value
            of its own: a class without `==`, a session, `self`.
    """

    def __init__(self, function: Callable[..., Any], template: str | None) -> None:
        self._signature, looked_through = signature_of(function)
        self._function = function.__qualname__
        parameters = self._signature.parameters
        self._fields, self._end = self._parsed(template, tuple(parameters))
        annotations = annotations_of(function)
        self._check(annotations)
        self._others = NotForPlainValues(self._function, annotations) if looked_through else None
        self._places = tuple(name for name, one in parameters.items() if one.kind in _BY_PLACE)
        self._simple = not any(one.kind in _VARIADIC for one in parameters.values())
        self._defaults: Mapping[str, Any] = MappingProxyType(
            {name: one.default for name, one in parameters.items() if one.default is not inspect.Parameter.empty}
        )

    def key(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> str:
        """The key of a call.

        Raises:
            TypeError: an argument that the key needs is missing, or the function has none of that name.
            UsageError: an argument has no value that could be part of a key.
        """
        given = self.bind(arguments, options)
        if self._others is not None:
            self._others.check(given)
        key = ""
        for field in self._fields:
            try:
                key += field.literal + field.token(given[field.name])
            except KeyError as error:
                raise self._missing(field, given) from error
            except Exception as error:
                raise self._refused(field, error, "got") from error
        key += self._end
        return key if len(key) <= _LONGEST else _shortened(key)

    def bind(self, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> Mapping[str, Any]:
        """The arguments by parameter, defaults included; those that are missing are left out.

        Raises:
            TypeError: the function does not take them.
        """
        if self._simple and not options and len(arguments) <= len(self._places):
            return {**self._defaults, **dict(zip(self._places, arguments, strict=False))}
        try:
            bound = self._signature.bind_partial(*arguments, **options)
        except TypeError as error:
            raise TypeError(f"{self._function}() {error}") from None
        bound.apply_defaults()
        return bound.arguments

    def _parsed(self, template: str | None, names: tuple[str, ...]) -> tuple[tuple[Field, ...], str]:
        if template is None:
            template = ":".join(f"{name}={{{name}}}" for name in names)
            return parse(template, self._function)
        fields, end = parse(template, self._function)
        unknown = sorted({field.name for field in fields} - {*names})
        if unknown:
            raise UsageError(f"tune.cache: key {template!r} names {unknown[0]!r}, no parameter of {self._function}")
        return fields, end

    def _check(self, annotations: Mapping[str, Any]) -> None:
        first = next(iter(self._signature.parameters), None)
        for field in self._fields:
            if field.name == first and first in ("self", "cls") and not (field.steps or field.conversion):
                raise UsageError(
                    f"tune.cache: {self._function} is a method, and {first} has no value that could be part of a key; "
                    f"name the arguments that matter, and what matters of {first}: key='…:{{{first}.id}}:{{argument}}'"
                )
            try:
                check(field, annotations.get(field.name, MISSING))
            except Exception as error:
                raise self._refused(field, error, "takes") from error

    def _missing(self, field: Field, given: Mapping[str, Any]) -> Exception:
        if field.name in given:
            return UsageError(f"tune.cache: {self._function}() got {field.name} without what {field.written} names")
        return TypeError(f"{self._function}() misses the argument {field.name!r}")

    def _refused(self, field: Field, error: Exception, verb: str) -> UsageError:
        if not isinstance(error, NoValue):
            what = "is nested too deeply" if isinstance(error, RecursionError) else f"{type(error).__name__}: {error}"
            return UsageError(f"tune.cache: {self._function}() {verb} {field.name}, but {field.written} fails: {what}")
        has_text = field.conversion is None and not field.spec and not hasattr(error.kind, "get_secret_value")
        return UsageError(
            f"tune.cache: {self._function}() {verb} {field.written[1:-1]}{error.path} of type "
            f"{error.kind.__qualname__}, which has no value of its own that could be part of a key; name the arguments "
            f"that matter: key='…:{{argument}}', and what matters of an object: '{{{field.name}.id}}'"
            + (f", or its text: '{{{field.name}!s}}'" if has_text else "")
        )


def _shortened(key: str) -> str:
    digest = blake2b(key.encode("utf-8", "surrogatepass"), digest_size=32).hexdigest()
    return f"{key[: _LONGEST - 64]}#{digest}{mark_of(key)}"
