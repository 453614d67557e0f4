"""Random generators that workers would share if the application were loaded before the fork, and where they are.

Those of libraries are reseeded after the fork, numpy's global one among them. Those of the application are reported:
only it knows whether it counts on the sequence, and `tune.fork_safe` is how it says that it does not.
"""

import contextlib
import gc
import os
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from types import FrameType, FunctionType, ModuleType
from typing import Any, Final

from paceline.resources.random_generators import fork_safe, generators, is_fork_safe, seed_sequences, source_of

_LIBRARIES: Final = tuple(
    {os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib", "purelib", "platlib")}
)
_DEPTH: Final = 5


def settle_generators(target: str, before: Sequence[Any]) -> list[str]:
    """Has libraries' generators reseeded after a fork; returns a phrase for each other one, and for each seed sequence:
    what it is, and where.

    Args:
        target: the application, MODULE:APP; it is loaded by now.
        before: the generators and seed sequences that lived before it was loaded.
    """
    known = {id(each) for each in before}
    ours = []
    for generator in [each for each in generators() if not is_fork_safe(each)]:
        if id(generator) in known or any(is_library(module, target) for module in owners(generator)):
            fork_safe(generator)
        else:
            ours.append(generator)
    fresh = [each for each in seed_sequences() if id(each) not in known]
    seeds = [each for each in fresh if not any(is_library(module, target) for module in owners(each))]
    places = _places({id(each) for each in (*ours, *seeds)}) if ours or seeds else {}
    named = [("random generator", ours), ("seed sequence", seeds)]
    return sorted(f"{what} {places.get(id(each)) or _kind(each)}" for what, found in named for each in found)


def is_library(module: str, target: str) -> bool:
    """Whether a module was installed, and is not of the application's own package."""
    if module.partition(".")[0] == target.partition(":")[0].partition(".")[0]:
        return False
    return (getattr(sys.modules.get(module), "__file__", None) or "").startswith(_LIBRARIES)


def owners(generator: Any) -> set[str]:
    """Names of the modules that hold it most closely: themselves, in a class, a default of a function, an object."""
    level, seen = [generator], {id(generator)}
    for _ in range(_DEPTH):
        holders = [each for each in gc.get_referrers(*level) if id(each) not in seen and each is not level]
        modules = {name for holder in holders if (name := _module_of(holder))}
        if modules:
            return modules
        seen.update(map(id, holders))
        level = [each for each in holders if type(each) is not FrameType]
        if not level:
            break
    return set()


def _module_of(holder: Any) -> str | None:
    kind = type(holder)
    if not issubclass(kind, (ModuleType, type, FunctionType)):
        return None
    name: str = holder.__name__ if issubclass(kind, ModuleType) else holder.__module__
    return name


def _places(wanted: set[int]) -> dict[int, str]:
    """Where in the modules a generator is: `MODULE.NAME` or `MODULE.NAME.ATTRIBUTE`."""
    places: dict[int, str] = {}
    for name, module in list(sys.modules.items()):
        if issubclass(type(module), ModuleType):
            for path, held in _reachable(module):
                if (key := id(source_of(held))) in wanted:
                    places.setdefault(key, f"{name}.{path}")
    return places


def _reachable(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for attribute, value in list(vars(module).items()):
        yield attribute, value
        yield from ((f"{attribute}.{below}", held) for below, held in list(_attributes(value).items()))


def _attributes(value: Any) -> dict[str, Any]:
    """By the object's type: a proxy of the application's may do anything when it is asked for an attribute."""
    kind = type(value)
    if issubclass(kind, ModuleType):
        return {}
    if issubclass(kind, type):
        return dict(type.__getattribute__(value, "__dict__"))
    with contextlib.suppress(Exception):  # extension types have a dict without showing it; classes, a property
        inner = object.__getattribute__(value, "__dict__")
        return inner if type(inner) is dict else {}
    return {}


def _kind(generator: Any) -> str:
    return f"({type(generator).__module__}.{type(generator).__qualname__})"
