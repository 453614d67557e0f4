"""The names of classes in cache keys: two classes never share one, though they may be called the same."""

import sys
from typing import Any, Final
from urllib.parse import quote
from weakref import WeakKeyDictionary

_names: Final[WeakKeyDictionary[type, str]] = WeakKeyDictionary()
_taken: Final[dict[str, int]] = {}


def type_name(kind: type) -> str:
    """`module.Class`, as a token. Of classes that a function makes anew at each call, the second is `module.Class~2`,
    and so on, in the order in which this process met them."""
    name = _names.get(kind)
    if name is None:
        name = _names[kind] = _new(kind)
    return name


def _new(kind: type) -> str:
    name = quote(_written(kind), safe="")
    found = _named(kind)
    if found is kind:
        return name
    number = _taken[name] = _taken.get(name, 0 if found is None else 1) + 1
    return name if number == 1 else f"{name}~{number}"


def _written(kind: type) -> str:
    """A generic pydantic model with its parameters in full: `Box[User]` may be of any module's `User`."""
    generic: Any = kind.__dict__.get("__pydantic_generic_metadata__") or {}
    if not generic.get("origin"):
        return f"{kind.__module__}.{kind.__qualname__}"
    parameters = (type_name(each) if isinstance(each, type) else repr(each) for each in generic["args"])
    return f"{type_name(generic['origin'])}[{','.join(parameters)}]"


def _named(kind: type) -> Any:
    """What is found under the name of a class; None: nothing."""
    found: Any = sys.modules.get(kind.__module__)
    for part in kind.__qualname__.split("."):
        found = getattr(found, part, None)
    return found
