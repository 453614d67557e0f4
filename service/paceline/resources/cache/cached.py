"""A cached function as its callers have it: called as before, and asked about what is cached."""

from collections.abc import Callable, Coroutine
from functools import partial, update_wrapper
from typing import Any, ParamSpec, Protocol, TypeVar, cast

from paceline.resources.cache.cache import Cache
from paceline.resources.cache.call import Call
from paceline.resources.cache.key import KeyTemplate
from paceline.resources.cache.refresh import Refresher

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class Cached(Protocol[P, R_co]):
    """A cached function: called as before, and asked about what is cached for the same arguments."""

    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...

    def age(self, *args: P.args, **kwargs: P.kwargs) -> float | None:
        """Seconds since this process's value was fetched, for an `Age` header; None where it has none."""

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, None]:
        """Drops the value, and wins over every fetch, refresh and write that began before.

        With Redis in all processes: at once where they are subscribed, a second later at most. Without Redis in this
        process alone: other workers and pods keep theirs until it is as old as the TTL.

        Raises:
            Exception: what the Redis client raises; the value is gone here, and others may still return it.
        """


def cached(
    function: Callable[P, Coroutine[Any, Any, R]], values: Cache, template: KeyTemplate, refresher: Refresher
) -> Cached[P, R]:
    """The function in front of its cache."""

    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        fetch = Call(function, args, kwargs)
        value: R = await values.get(template.key(args, kwargs), fetch, lambda: refresher(fetch, args, kwargs))
        return value

    def age(*args: P.args, **kwargs: P.kwargs) -> float | None:
        return values.age(template.key(args, kwargs))

    async def forget(*args: P.args, **kwargs: P.kwargs) -> None:
        await values.forget(template.key(args, kwargs))

    values.belongs_to(call)
    update_wrapper(call, function)
    call.__dict__.update(age=age, forget=forget)
    return cast(Cached[P, R], _Method(call) if _in_class(function) else call)


def _in_class(function: Callable[..., Any]) -> bool:
    outside = function.__qualname__.rpartition(".")[0]
    return bool(outside) and not outside.endswith("<locals>")


class _Method:
    """A cached function in a class: `shop.load.forget(1)` is about `shop`, as `shop.load(1)` is."""

    def __init__(self, call: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        self._call: Any = call
        update_wrapper(self, call)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return await self._call(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self._call
        call = self._call
        bound: Any = partial(call, instance)
        bound.age, bound.forget = partial(call.age, instance), partial(call.forget, instance)
        bound.__name__, bound.__qualname__, bound.__doc__ = call.__name__, call.__qualname__, call.__doc__
        bound.__self__, bound.__func__ = instance, call
        return bound
