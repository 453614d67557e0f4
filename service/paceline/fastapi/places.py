"""The routes of an application, those of included routers too, in the order in which FastAPI asks them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from fastapi import APIRouter
from fastapi.routing import (
    APIRoute,
    APIWebSocketRoute,
    _apply_router_form_limits,
    _EffectiveRouteContext,
    _get_fastapi_scope,
    _IncludedRouter,
)
from starlette.routing import BaseRoute, Route

from paceline.asgi import Scope
from paceline.fastapi.route import CompiledRoute

_WAYS: Final = {(each.matches, each.handle) for each in (Route, APIRoute, CompiledRoute)}
_Inclusions = tuple[_IncludedRouter, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """A route where it was found."""

    route: Any
    declared: Any
    """The route, or what including routers made of it."""
    inclusions: _Inclusions = ()
    """The routers that it was included by, outermost first."""
    limits: tuple[Any, ...] = ()
    """Of forms, as these routers set them."""

    def enter(self, scope: Scope, path_params: dict[str, Any]) -> None:
        """Leaves in the scope what FastAPI's search leaves there."""
        declared, route = self.declared, self.route
        for limits in self.limits:
            _apply_router_form_limits(scope, limits)
        if self.inclusions:
            found = _get_fastapi_scope(scope)
            found["included_router"], found["effective_route_context"] = self.inclusions[-1], declared
        scope["endpoint"] = declared.endpoint
        scope["path_params"] = {**scope.get("path_params", {}), **path_params}
        if isinstance(route, APIRoute):
            scope["route"] = route


@dataclass(frozen=True, slots=True)
class Unknown:
    """A route whose ways of matching are its own: it has to be asked."""

    route: BaseRoute


def places_of(router: APIRouter) -> tuple[list[APIRouter], list[Place | Unknown]]:
    """The routers that were looked at, and what was found in them. WebSocket routes are left out."""
    looked_at, limits = [router], _limits(router.form_limits)
    found: list[Place | Unknown] = []
    for route in router.routes:
        if isinstance(route, _IncludedRouter):
            included = list(_included(route, (), limits, looked_at))
            found += [Unknown(route)] if any(isinstance(each, Unknown) for each in included) else included
        elif not isinstance(route, APIWebSocketRoute):
            found.append(Place(route, route, limits=limits) if _ways(route) in _WAYS else Unknown(route))
    return looked_at, found


def _included(
    router: _IncludedRouter, outer: _Inclusions, limits: tuple[Any, ...], looked_at: list[APIRouter]
) -> Iterator[Place | Unknown]:
    original = router.original_router
    looked_at.append(original)
    if (type(original).matches, type(original).handle) != (APIRouter.matches, APIRouter.handle):
        yield Unknown(router)
        return
    inclusions, limits = (*outer, router), (*limits, *_limits(router.include_context.form_limits))
    for candidate in router.effective_candidates():
        if isinstance(candidate, _IncludedRouter):
            yield from _included(candidate, inclusions, limits, looked_at)
        elif not isinstance(candidate.original_route, APIWebSocketRoute):
            yield _place_of(candidate, inclusions, limits)


def _place_of(candidate: _EffectiveRouteContext, inclusions: _Inclusions, limits: tuple[Any, ...]) -> Place | Unknown:
    route = candidate.original_route
    if isinstance(route, APIRoute) and _ways(route) in _WAYS:
        return Place(route, candidate, inclusions, limits)
    return Unknown(route)


def _ways(route: BaseRoute) -> tuple[Any, Any]:
    return type(route).matches, type(route).handle


def _limits(limits: Any) -> tuple[Any, ...]:
    return (limits,) if limits else ()


def first_segment(place: Place | Unknown) -> str | None:
    """None if it may be any."""
    if isinstance(place, Unknown):
        return None
    path: str = place.declared.path_format
    segment = path[1:].partition("/")[0]
    return segment if path.startswith("/") and "{" not in segment else None
