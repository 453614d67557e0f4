"""Dependencies that a test replaces while a request runs: from there on FastAPI solves them."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import solve_dependencies

from paceline.asgi import Scope
from paceline.fastapi.parameters import Values
from paceline.fastapi.solving import FILES_STACK, FUNCTION_STACK, REQUEST_STACK, Solving, response_of


class NothingOverridden:
    """Of a router that no application is the provider of."""

    dependency_overrides: dict[Any, Any] = {}  # noqa: RUF012  nobody writes to it


def overridden(dependency: Dependant, provider: Any, *, embed: bool) -> Callable[[Solving, Values], Awaitable[None]]:
    """What solves one dependency, and all below, as FastAPI would."""
    alone = Dependant(dependencies=[dependency])

    async def solve(solving: Solving, values: Values) -> None:
        await _provide_stacks(solving.request.scope)
        solved = await solve_dependencies(
            request=solving.request,
            dependant=alone,
            body=solving.body,
            background_tasks=solving.background_tasks,
            response=response_of(solving),
            dependency_overrides_provider=provider,
            dependency_cache=solving.cache,
            async_exit_stack=solving.request.scope[REQUEST_STACK],
            embed_body_fields=embed,
        )
        solving.background_tasks = solved.background_tasks  # type: ignore[assignment]
        solving.errors.extend(solved.errors)
        values.update(solved.values)

    return solve


async def _provide_stacks(scope: Scope) -> None:
    """A route whose own dependencies have nothing to end does without them."""
    for name in (REQUEST_STACK, FUNCTION_STACK):
        if name not in scope:
            scope[name] = await scope[FILES_STACK].enter_async_context(AsyncExitStack())
