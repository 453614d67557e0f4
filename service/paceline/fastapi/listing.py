"""Which routes of an application are compiled, for `paceline check`."""

from collections.abc import Iterable
from typing import Any

from fastapi.routing import APIRoute

from paceline.fastapi.route import CompiledRoute


def described(objects: Iterable[Any]) -> list[str]:
    """A line for the sum, and one for each route that FastAPI runs, with the reason; nothing where none is compiled.

    Args:
        objects: all there are: routes are found wherever their application is.
    """
    routes = [each for each in objects if isinstance(each, APIRoute)]
    if not any(isinstance(each, CompiledRoute) for each in routes):
        return []
    left = [(route, reason) for route in routes if (reason := _reason(route)) is not None]
    return [
        f"compiled: {len(routes) - len(left)} of {len(routes)} FastAPI routes",
        *sorted(
            f"not compiled: {','.join(sorted(route.methods or ()))} {route.path}: {reason}" for route, reason in left
        ),
    ]


def _reason(route: APIRoute) -> str | None:
    if isinstance(route, CompiledRoute):
        return route.not_compiled
    return f"its class is {type(route).__name__}, not paceline.fastapi.CompiledRoute"
