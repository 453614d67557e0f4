"""Which route a request is for, by an index; FastAPI asks each in turn, those of included routers more than once.

The first route in FastAPI's order whose path and method fit is the one. Where none does (404, 405, redirects, files
of a frontend), where FastAPI's telemetry looks on, and where something stands in between whose ways are not known
(mounts, classes with ways of their own), FastAPI searches as ever.
"""

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import is_
from typing import Any

from fastapi import APIRouter
from starlette._utils import get_route_path
from starlette.routing import BaseRoute, Match

from paceline.asgi import ASGIApp, Receive, Scope, Send
from paceline.fastapi.places import Place, Unknown, first_segment, places_of


@dataclass(frozen=True, slots=True)
class Index:
    """For each first segment of a path the routes that may fit, in order; and the routes as they were."""

    by_segment: Mapping[str, Sequence[Place | Unknown]]
    anywhere: Sequence[Place | Unknown]
    """Those whose first segment may be any."""
    routers: Sequence[APIRouter]
    routes: Sequence[BaseRoute]

    def is_current(self) -> bool:
        """Whether nobody has added, removed or exchanged a route since."""
        now = [router.routes for router in self.routers]
        return sum(map(len, now)) == len(self.routes) and all(map(is_, chain.from_iterable(now), self.routes))


def index_of(router: APIRouter) -> Index:
    """Looks at all routes once."""
    routers, places = places_of(router)
    keyed = [(first_segment(place), place) for place in places]
    by_segment: dict[str, list[Place | Unknown]] = {segment: [] for segment, _ in keyed if segment is not None}
    for segment, group in by_segment.items():
        group += [place for key, place in keyed if key is None or key == segment]
    anywhere = [place for segment, place in keyed if segment is None]
    return Index(by_segment, anywhere, routers, [route for each in routers for route in each.routes])


class RouteFinder:
    """Stands where an application's router has its own search."""

    def __init__(self, router: APIRouter, otherwise: ASGIApp) -> None:
        self._router = router
        self._otherwise = otherwise
        self._index: Index | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http" or scope.get("fastapi.telemetry") is not None:
            return self._otherwise(scope, receive, send)
        place = self._find(scope)
        handle: ASGIApp = self._otherwise if place is None else place.route.handle
        return handle(scope, receive, send)

    def _find(self, scope: Scope) -> Place | None:
        index = self._index
        if index is None or not index.is_current():
            self._index = index = index_of(self._router)
        path, method = get_route_path(scope), scope["method"]
        for place in index.by_segment.get(path[1:].partition("/")[0], index.anywhere):
            if isinstance(place, Unknown):
                if place.route.matches(scope)[0] is Match.FULL:
                    return None
                continue
            methods = place.declared.methods
            if (not methods or method in methods) and (match := place.declared.path_regex.match(path)):
                return self._entered(place, scope, match.groupdict())
        return None

    def _entered(self, place: Place, scope: Scope, found: dict[str, Any]) -> Place:
        convertors = place.declared.param_convertors
        scope.setdefault("router", self._router)
        place.enter(scope, {name: convertors[name].convert(value) for name, value in found.items()})
        return place


def find_by_index(router: APIRouter) -> None:
    """For a router without middleware of its own, and with FastAPI's way to search."""
    if type(router).app is APIRouter.app and router.middleware_stack == router.app:
        router.middleware_stack = RouteFinder(router, router.app)  # type: ignore[assignment]  # not a coroutine function
