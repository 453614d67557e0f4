"""What an adapter replaces of its driver, and the check that the driver at hand is as the adapter expects.

`tune.pool` fails closed: a limit in front of a method that nobody calls any more would limit nothing, silently.
"""

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from types import CodeType, FunctionType
from typing import Any, Final

from paceline.errors import PoolError

REMEDY: Final = (
    "use a version that docs/reference.md lists, or leave this pool untuned and name its server in PACELINE_UNPOOLED"
)


@dataclass(frozen=True, slots=True)
class Member:
    """A method that an adapter replaces: its name, kind and parameters, and where the driver calls it."""

    name: str
    parameters: tuple[str, ...] = ()
    """Without `self`; `*keys`, `**options`, and `should_close=` for one that is passed by keyword only."""
    asynchronous: bool = False
    callers: tuple[str, ...] = ()
    """`module:Class.method` of the driver's functions that call it, each of them; `A or B` where versions differ."""
    otherwise: tuple[tuple[str, ...], ...] = ()
    """The parameters that it has in other versions."""
    since: str = ""
    """The version that brought it; older ones are not asked for it."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What an adapter knows of a driver, and from which version on."""

    package: str
    lowest: str
    members: tuple[Member, ...]
    entries: tuple[str, ...] = ()
    """Public methods of the pool that lead to the members; a subclass may override them if it calls them, too."""
    links: tuple[tuple[str, str], ...] = ()
    """Pairs of a function, as in `callers`, and a name that it uses: the way from the public methods to the members."""
    reads: tuple[str, ...] = ()
    """Attributes of the pool that the adapter reads."""

    @property
    def version(self) -> str:
        """Of the package that is loaded; empty if it does not say."""
        stated = getattr(sys.modules.get(self.package), "__version__", None)
        if isinstance(stated, str):
            return stated
        try:
            return metadata.version(self.package)
        except metadata.PackageNotFoundError:
            return ""


def verify(name: str, driver: Driver, pool: Any, kind: type | None = None) -> None:
    """Checks that the pool is of a driver that the adapter knows.

    Args:
        name: the pool's name, for messages.
        kind: the class whose members are replaced, if it is not the pool's own.

    Raises:
        PoolError: a member is missing, has another kind or other parameters, is not called where it was, or is
            overridden; or the driver is too old.
    """
    found = type(pool) if kind is None else kind
    problem = next(_problems(driver, pool, found), None)
    if problem is not None:
        title = f"{driver.package} {driver.version}".rstrip()
        raise PoolError(f"pool {name!r}: cannot limit this pool of {title}: {problem}; {REMEDY}")


def _problems(driver: Driver, pool: Any, kind: type) -> Iterator[str]:
    if driver.version and _numbers(driver.version) < _numbers(driver.lowest):
        yield f"{driver.lowest} is the lowest version that is known to work"
    for member in driver.members:
        yield from _member_problems(driver, member, kind)
    for entry in driver.entries:
        yield from _entry_problems(driver, entry, kind)
    for path, used in driver.links:
        yield from _link_problems(path, used)
    yield from _object_problems(driver, pool, kind)


def _object_problems(driver: Driver, pool: Any, kind: type) -> Iterator[str]:
    if _owner(kind, "__getattribute__") is not object:
        yield f"{_title(kind)} has a __getattribute__ of its own"
    methods = {*(member.name for member in driver.members), *driver.entries}
    if isinstance(pool, kind):
        for name in sorted(methods & {*getattr(pool, "__dict__", ())}):
            yield f"the object itself has an attribute {name}, which hides the driver's method"
    for attribute in driver.reads:
        if not hasattr(pool, attribute):
            yield f"{_title(kind)} has no attribute {attribute}, which the limit reads"


def _member_problems(driver: Driver, member: Member, kind: type) -> Iterator[str]:
    if driver.version and _numbers(driver.version) < _numbers(member.since):
        return
    where = f"{_title(kind)}.{member.name}"
    owner = _owner(kind, member.name)
    if owner is None or getattr(owner.__dict__[member.name], "__isabstractmethod__", False):
        yield f"there is no {where}, which the limit would replace"
        return
    found = owner.__dict__[member.name]
    function = inspect.unwrap(found)
    if isinstance(found, staticmethod | classmethod) or not isinstance(function, FunctionType):
        yield f"{where} is no method"
        return
    if not (_belongs(owner, driver) and _belongs(function, driver)):
        culprit = _title(owner) if not _belongs(owner, driver) else function.__module__
        yield f"{culprit} overrides {member.name}, which the limit would replace"
    if inspect.iscoroutinefunction(function) != member.asynchronous:
        yield f"{where} is {'not ' if member.asynchronous else ''}async"
    if (parameters := _parameters(function)) not in (member.parameters, *member.otherwise):
        expected, got = ", ".join(member.parameters), ", ".join(parameters)
        yield f"{where} takes ({got}) where ({expected}) was expected"
    for path in member.callers:
        yield from _link_problems(path, member.name)


def _link_problems(path: str, name: str) -> Iterator[str]:
    functions = [_function(each) for each in path.split(" or ")]
    if not any(function is not None and name in _names(function.__code__) for function in functions):
        yield f"{path.replace(':', '.')} does not use {name}, which the limit relies on"


def _entry_problems(driver: Driver, entry: str, kind: type) -> Iterator[str]:
    owner = _owner(kind, entry)
    if owner is None:
        yield f"there is no {_title(kind)}.{entry}"
    elif not _belongs(owner, driver):
        function = inspect.unwrap(owner.__dict__[entry])
        if not isinstance(function, FunctionType) or entry not in _names(function.__code__):
            yield f"{_title(owner)} overrides {entry} and does not call the driver's own"


def _owner(kind: type, name: str) -> type | None:
    return next((each for each in kind.__mro__ if name in each.__dict__), None)


def _belongs(found: Any, driver: Driver) -> bool:
    return f"{found.__module__}.".startswith(f"{driver.package}.")


def _parameters(function: FunctionType) -> tuple[str, ...]:
    _, *parameters = inspect.signature(function).parameters.values()
    return tuple(_written(each) for each in parameters)


def _written(parameter: inspect.Parameter) -> str:
    written: dict[Any, str] = {
        parameter.VAR_POSITIONAL: f"*{parameter.name}",
        parameter.VAR_KEYWORD: f"**{parameter.name}",
        parameter.KEYWORD_ONLY: f"{parameter.name}=",
    }
    return written.get(parameter.kind, parameter.name)


def _function(path: str) -> FunctionType | None:
    """By `module:Class.method`; None if there is none, or its module is not loaded."""
    module, _, qualified = path.partition(":")
    found: Any = sys.modules.get(module)
    for part in qualified.split("."):
        found = getattr(found, part, None)
    unwrapped = None if found is None else inspect.unwrap(getattr(found, "__func__", found))
    return unwrapped if isinstance(unwrapped, FunctionType) else None


def _names(code: CodeType) -> set[str]:
    """Attributes and globals that the code uses, functions within it included."""
    within = (_names(each) for each in code.co_consts if isinstance(each, CodeType))
    return set(code.co_names).union(*within)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def _title(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"
