"""The dependencies of a route as a plan: which are called, in which order, with what; made once.

FastAPI finds the order, the kind of every callable and its cache key anew for each request. They follow from the
declaration alone, so that here they are constants of nested functions.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from fastapi.dependencies.models import Dependant, _get_cache_key, _is_coroutine_callable

from paceline.fastapi.body import body_reader
from paceline.fastapi.calling import Obtain, is_generator, obtaining
from paceline.fastapi.overridden import overridden
from paceline.fastapi.parameters import Values, readers
from paceline.fastapi.solving import Solving
from paceline.fastapi.supplies import supplies

Fill = Callable[[Solving, Values], None]
Solve = Callable[[Solving, Values], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all dependencies of a route have in common."""

    provider: Any
    """Has `dependency_overrides`, looked at before every dependency."""
    shared_keys: frozenset[Any]
    """Cache keys of dependencies that occur more than once: only those need a cache."""
    embed: bool
    """Whether each parameter of the body is a field of its own in it."""


def within(dependant: Dependant) -> Iterator[Dependant]:
    """All dependencies below, nested ones too."""
    for dependency in dependant.dependencies:
        yield dependency
        yield from within(dependency)


def shared_keys(dependant: Dependant) -> frozenset[Any]:
    """Keys that FastAPI's cache of a request would be asked for twice."""
    counted = Counter(_get_cache_key(dependant=dependency) for dependency in within(dependant))
    return frozenset(key for key, times in counted.items() if times > 1)


def solver(dependant: Dependant, around: Surroundings) -> Solve:
    """What finds the arguments of one callable: dependencies, then parameters, the body, what it asks for by type.

    Arguments that were refused are missing, and told in `errors`.
    """
    steps = [_step(dependency, around) for dependency in dependant.dependencies]
    from_body = body_reader(dependant, embed=around.embed)
    parameters, supplied = readers(dependant), supplies(dependant)

    async def solve(solving: Solving, values: Values) -> None:
        for step in steps:
            await step(solving, values)
        for read in parameters:
            read(solving.request, values, solving.errors)
        if from_body is not None:
            await from_body(solving.body, values, solving.errors)
        for supply in supplied:
            supply(solving, values)

    return solve


def _step(dependency: Dependant, around: Surroundings) -> Solve:
    key, provider = _get_cache_key(dependant=dependency), around.provider
    replaced = overridden(dependency, provider, embed=around.embed)
    if key not in around.shared_keys and not _has_arguments_to_check(dependency):
        return _quick_step(dependency, provider, replaced)
    name, solve, obtain = dependency.name, solver(dependency, around), obtaining(dependency)
    if key in around.shared_keys:
        obtain = _cached(obtain, key, reuse=dependency.use_cache)

    async def step(solving: Solving, values: Values) -> None:
        if provider.dependency_overrides:
            await replaced(solving, values)
            return
        arguments: Values = {}
        refused = len(solving.errors)
        await solve(solving, arguments)
        if len(solving.errors) > refused:
            return
        value = await obtain(solving, arguments)
        if name is not None:
            values[name] = value

    return step


def _has_arguments_to_check(dependency: Dependant) -> bool:
    return bool(dependency.dependencies or dependency.body_params or readers(dependency))


def _quick_step(dependency: Dependant, provider: Any, replaced: Solve) -> Solve:
    """Of a dependency that takes nothing, or the request: nothing can be wrong with its arguments."""
    name, supplied, obtain = dependency.name, supplies(dependency), obtaining(dependency)
    call: Any = dependency.call
    if not _is_coroutine_callable(call) or is_generator(call) or dependency.concurrency is not None:
        call = None

    async def step(solving: Solving, values: Values) -> None:
        if provider.dependency_overrides:
            await replaced(solving, values)
            return
        arguments: Values = {}
        for supply in supplied:
            supply(solving, arguments)
        value = await obtain(solving, arguments) if call is None else await call(**arguments)
        if name is not None:
            values[name] = value

    return step


def _cached(obtain: Obtain, key: Any, *, reuse: bool) -> Obtain:
    async def obtained(solving: Solving, arguments: Values) -> Any:
        if reuse and key in solving.cache:
            return solving.cache[key]
        value = await obtain(solving, arguments)
        solving.cache.setdefault(key, value)
        return value

    return obtained
