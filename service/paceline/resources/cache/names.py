"""The names of classes in cache keys: two classes never share one, though they may be called the same."""

import re
import sys
from collections.abc import Mapping
from typing import Any, Final, get_args, get_origin
from urllib.parse import quote, unquote
from weakref import WeakKeyDictionary

_names: Final[WeakKeyDictionary[type, str]] = WeakKeyDictionary()
_taken: Final[dict[str, int]] = {}
_NUMBER: Final = re.compile(r"!\d+")
_NUMBERED: Final = re.compile(r"[\w.~%-]+!\d+[(),]")


def type_name(kind: type) -> str:
    """`module.Class`, as a token, of a class that its module has: it means the same in every process.

    Any other, such as one that a function makes anew at each call, is `module.Class!1`, the next of that name `!2`, in
    the order in which this process met them: another process may give the same name to another class.
    """
    name = _names.get(kind)
    if name is None:
        name = _names[kind] = _new(kind)
    return name


def mark_of(key: str) -> str:
    """The part of a key that names a class which only this process knows by that name; empty where there is none."""
    found = _NUMBERED.search(key)
    return "" if found is None else found[0]


def class_of_this_process(key: str) -> str | None:
    """That class, for messages; None where there is none, and the key means the same in every process."""
    name, numbered, _ = mark_of(key).rpartition("!")
    return unquote(name) if numbered else None


def _new(kind: type) -> str:
    generic: Mapping[str, Any] = kind.__dict__.get("__pydantic_generic_metadata__") or {}
    if generic.get("origin"):
        written = _parametrized(generic["origin"], generic["args"])
        shared = _NUMBER.search(written) is None
    else:
        place = _place(kind)
        written, shared = f"{kind.__module__}.{place or kind.__qualname__}", place is not None
    name = quote(written, safe="")
    if shared:
        return name
    number = _taken[name] = _taken.get(name, 0) + 1
    return f"{name}!{number}"


def _place(kind: type) -> str | None:
    """What its module calls a class: as it is called itself, as a rule; None: nothing."""
    module: Any = sys.modules.get(kind.__module__)
    found, own = module, kind.__qualname__
    for part in own.split("."):
        found = getattr(found, part, None)
    if found is kind:
        return own
    members: dict[str, Any] = {} if module is None else dict(vars(module))
    return next((name for name, each in members.items() if each is kind), None)


def _parametrized(origin: Any, parameters: tuple[Any, ...]) -> str:
    """A generic with its parameters in full: `Box[User]` may be of any module's `User`."""
    return f"{_written(origin)}[{','.join(map(_written, parameters))}]"


def _written(parameter: Any) -> str:
    if (origin := get_origin(parameter)) is not None:
        return _parametrized(origin, get_args(parameter))
    return type_name(parameter) if isinstance(parameter, type) else repr(parameter)
