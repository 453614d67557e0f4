"""The route class, and the call that gives it to an application whose routes exist already."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import Match

from paceline.asgi import ASGIApp, Receive, Scope, Send
from paceline.fastapi.support import is_tested, reason_against

_NOT_INCLUDED: Final[Mapping[str, Any]] = {}


class CompiledRoute(APIRoute):
    """A route whose dependencies, parameters and response are worked out once, not for every request.

    Responses, errors, OpenAPI and the order of what happens are FastAPI's. FastAPI runs the requests while
    `dependency_overrides` has an entry and while its own telemetry is on, and all requests of a route that cannot be
    compiled.

    Example:
        router = APIRouter(route_class=CompiledRoute)
    """

    not_compiled: str | None = None
    """Why FastAPI runs all its requests; None if it is compiled."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        _use_compiled(self)

    def get_route_handler(self) -> Callable[[Request], Any]:
        """The handler, compiled if the route can be. A subclass may wrap it, as it may FastAPI's."""
        own = super().get_route_handler()
        self.not_compiled = reason_against(self.endpoint)
        if self.not_compiled:
            return own
        from paceline.fastapi.installed import compiled_handler  # private names of the versions that are tested

        return compiled_handler(
            self, own, is_wrapped=type(self).get_route_handler is not CompiledRoute.get_route_handler
        )

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As FastAPI's, on a shorter way for an HTTP request that nothing was mounted for."""
        if self.not_compiled is not None or scope["type"] != "http" or scope.get("root_path"):
            return super().matches(scope)
        declared: Any = scope.get("fastapi", _NOT_INCLUDED).get("effective_route_context")
        if declared is None or declared.original_route is not self:
            declared = self
        match = declared.path_regex.match(scope["path"])
        if match is None:
            return Match.NONE, {}
        convertors = declared.param_convertors
        found = {name: convertors[name].convert(value) for name, value in match.groupdict().items()}
        child = {"endpoint": declared.endpoint, "path_params": {**scope.get("path_params", {}), **found}, "route": self}
        fits = not declared.methods or scope["method"] in declared.methods
        return (Match.FULL if fits else Match.PARTIAL), child

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:  # type: ignore[override]
        """As FastAPI's, without asking again what the router knows."""
        declared: Any = scope.get("fastapi", _NOT_INCLUDED).get("effective_route_context")
        if declared is None or declared.original_route is not self:
            declared = self
        elif self.not_compiled is None:
            _use_compiled(declared)
        handle: ASGIApp = declared.app if scope["method"] in declared.methods else super().handle
        return handle(scope, receive, send)


def _use_compiled(declared: Any) -> None:
    """Puts the compiled ASGI function in its place, if there is one that is not there yet."""
    app = vars(declared).pop("paceline_app", None)
    if app is not None:
        declared.app = app


def compile_routes(app: FastAPI) -> None:
    """Compiles the routes that an application has, those of included routers too, and those of its own that come later.

    Its router then finds the route of a request by an index.

    Routes of a class of your own stay as they are, and so do mounted applications: each wants a call of its own.
    """
    _compile_router(app.router)
    if is_tested():
        from paceline.fastapi.finder import find_by_index

        find_by_index(app.router)


def _compile_router(router: APIRouter) -> None:
    if router.route_class is APIRoute:
        router.route_class = CompiledRoute
    for route in router.routes:
        if type(route) is APIRoute:
            _compile_route(route)
        elif isinstance(included := getattr(route, "original_router", None), APIRouter):
            _compile_router(included)
    _forget_inclusions(router)


def _compile_route(route: APIRoute) -> None:
    route.__class__ = CompiledRoute
    assert isinstance(route, CompiledRoute)
    route.get_route_handler()
    _use_compiled(route)


def _forget_inclusions(router: APIRouter) -> None:
    """What including routers made of its routes is made anew, when it is asked for."""
    changed = getattr(router, "_mark_routes_changed", None)
    if changed is not None:
        changed()
