"""How the callable of a dependency is called: awaited, in a thread, or entered and ended with the request."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi.dependencies.models import Dependant, _is_async_gen_callable, _is_coroutine_callable, _is_gen_callable
from fastapi.dependencies.utils import _solve_generator
from starlette.concurrency import run_in_threadpool

from paceline.fastapi.parameters import Values
from paceline.fastapi.solving import FUNCTION_STACK, REQUEST_STACK, Solving

Obtain = Callable[[Solving, Values], Awaitable[Any]]

_STACKS: Final[Mapping[str | None, str]] = {"function": FUNCTION_STACK}


def is_generator(call: Callable[..., Any] | None) -> bool:
    """Whether it yields: as an endpoint, a stream; as a dependency, something to be ended."""
    return _is_gen_callable(call) or _is_async_gen_callable(call)


def obtaining(dependency: Dependant) -> Obtain:
    """What gets its value, once its arguments are known."""
    call = dependency.call
    assert call is not None, "a dependency has a callable"
    if is_generator(call):
        return _entered(dependency)

    async def awaited(_: Solving, arguments: Values) -> Any:
        return await call(**arguments)

    async def in_thread(_: Solving, arguments: Values) -> Any:
        return await run_in_threadpool(call, **arguments)

    obtain = awaited if _is_coroutine_callable(call) else in_thread
    return obtain if dependency.concurrency is None else _limited(obtain, dependency.concurrency)


def _limited(obtain: Obtain, concurrency: Any) -> Obtain:
    async def obtained(solving: Solving, arguments: Values) -> Any:
        async with concurrency.get_semaphore():
            return await obtain(solving, arguments)

    return obtained


def _entered(dependency: Dependant) -> Obtain:
    stack = _STACKS.get(dependency.scope, REQUEST_STACK)

    async def entered(solving: Solving, arguments: Values) -> Any:
        request = solving.request
        return await _solve_generator(
            dependant=dependency, stack=request.scope[stack], sub_values=arguments, request=request
        )

    return entered
