"""Which signature the arguments of a call belong to, where decorators stand between the cache and the function."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from paceline.errors import UsageError
from paceline.resources.cache.annotations import bare, without_value

_VARIADIC: Final = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def signature_of(function: Callable[..., Any]) -> tuple[inspect.Signature, bool]:
    """That of the outermost function that names its parameters: a decorator with `*args, **kwargs` passes on what it
    gets, one with parameters of its own may pass others. And whether a decorator was looked through."""
    own = inspect.signature(function, follow_wrapped=False)
    inner = getattr(function, "__wrapped__", None)
    if inner is None or "__signature__" in getattr(function, "__dict__", {}):
        return own, False
    found, _ = signature_of(inner)
    named = [name for name, one in own.parameters.items() if one.kind not in _VARIADIC]
    passes_on = len(own.parameters) - len(named) == len(_VARIADIC)
    return (found, True) if passes_on and named == [*found.parameters][: len(named)] else (own, False)


class NotForPlainValues:
    """Parameters for sessions, requests and the like. A call that gives one a text or a number belongs to another
    signature: a decorator that was looked through passes arguments of its own."""

    def __init__(self, function: str, annotations: Mapping[str, Any]) -> None:
        self._function = function
        self._kinds = {
            name: kind
            for name, each in annotations.items()
            if name != "return" and isinstance(kind := bare(each), type) and without_value(kind) is not None
        }

    def check(self, given: Mapping[str, Any]) -> None:
        """
        Raises:
            UsageError: see above.
        """
        for name, kind in self._kinds.items():
            if type(value := given.get(name)) in (int, str, bool, float, bytes):
                raise UsageError(
                    f"tune.cache: {self._function}() got {value!r:.40} as {name} ({kind.__qualname__}): a decorator "
                    "beneath tune.cache passes arguments of its own; put tune.cache beneath it"
                )
