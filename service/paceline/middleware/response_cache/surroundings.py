"""What middleware in front of the cache put into a request: for one client, or the same for all.

A framework, and an application's lifespan, put things into every scope that are the same for all clients; the route
gets those. Anything else may be about this client (`user`, `session`, a tenant): such a request bypasses the cache.
"""

from collections.abc import Collection, Container, Mapping
from typing import Any, Final

from paceline.asgi import Scope

_REBUILT: Final = frozenset(
    {"type", "asgi", "http_version", "server", "client", "scheme", "root_path", "headers", "state", "method", "path"}
    | {"raw_path", "query_string", "extensions"}
)
_SAME_FOR_ALL: Final = frozenset(
    {"app", "router", "route", "endpoint", "path_params", "app_root_path", "starlette.exception_handlers"}
    | {"fastapi.telemetry", "litestar_app", "route_handler"}
)
"""The framework's own, the same for each request with this path."""
_MADE_ANEW: Final = frozenset(
    {"path_template", "fastapi", "fastapi_middleware_astack", "fastapi_inner_astack"} | {"fastapi_function_astack"}
)
"""About one request, and of no use to a route: hidden."""
_OURS: Final = "paceline."
_STATE_MADE_ANEW: Final = frozenset({"_ls_connection_state"})
REQUEST_ID: Final = "request_id"
_KNOWN: Final = _REBUILT | _SAME_FOR_ALL | _MADE_ANEW


class Surroundings:
    """What one cache knows of the middleware in front of it."""

    def __init__(self, shared: Collection[str]) -> None:
        """`shared` names entries of the scope or its state that the developer says are the same for all clients."""
        self._shared = frozenset(shared)
        self._given = self._shared | {REQUEST_ID}
        self._lifespan: Mapping[str, Any] = {}
        self._usual_scope: tuple[str, ...] = ()
        """The entries of the last scope that held nothing personal, its state apart."""

    def started(self, lifespan_scope: Scope) -> None:
        """The application starts; what its lifespan puts into the state is for all requests."""
        state = lifespan_scope.get("state")
        self._lifespan = {} if state is None else state  # the very object: it is filled while the application starts

    def personal(self, scope: Scope) -> str | None:
        """What may be about this client, as `user` or `state.user`; None if nothing is. About 0.5 µs.

        It looks closely where a scope has other entries than the last one. The route does not get unknown ones in any
        case.
        """
        if tuple(scope) == self._usual_scope and (not (state := scope.get("state")) or self._is_usual(state)):
            return None
        return self._look_closely(scope)

    def _is_usual(self, state: Mapping[str, Any]) -> bool:
        """Whether a state holds the lifespan's own objects: middleware may put others in their place."""
        shared, mine = self._lifespan, state
        if REQUEST_ID in mine:
            mine = dict(mine)
            del mine[REQUEST_ID]
        try:
            same = mine == shared  # as a rule they are the very same objects: then nothing of theirs is asked
        except Exception:  # objects of others may not be comparable
            same = False
        known = self._given
        return same or all(key in known or (key in shared and shared[key] is value) for key, value in mine.items())

    def of_all(self, scope: Scope, params: Container[str]) -> dict[str, Any]:
        """What a route may have of the scope, of a request that is not personal; `params` are the path parameters that
        are in its key."""
        allowed = _SAME_FOR_ALL | self._shared
        mine = {key: value for key, value in scope.items() if key in allowed}
        if "path_params" in mine:
            mine["path_params"] = {name: value for name, value in mine["path_params"].items() if name in params}
        if (state := scope.get("state")) is not None:
            passed = {key: value for key, value in state.items() if value is None or key in self._given}
            mine["state"] = passed | {key: value for key, value in self._lifespan.items() if key in state}
        return mine

    def _look_closely(self, scope: Scope) -> str | None:
        state = scope.get("state") or {}
        unknown = [key for key in scope if not (key in _KNOWN or key in self._shared or key.startswith(_OURS))]
        unknown_state = [key for key in state if not self._is_of_all(key, state[key])]
        for key in unknown:
            if scope[key] is not None:
                return key
        for key in unknown_state:
            if state[key] is not None:
                return f"state.{key}"
        if _has_certificate(scope):
            return "a TLS client certificate"
        if not (unknown or "extensions" in scope):
            self._usual_scope = tuple(scope)
        return None

    def _is_of_all(self, key: str, value: Any) -> bool:
        known = key == REQUEST_ID or key in _STATE_MADE_ANEW or key in self._shared
        return known or (key in self._lifespan and self._lifespan[key] is value)


def _has_certificate(scope: Scope) -> bool:
    tls = (scope.get("extensions") or {}).get("tls") or {}
    return bool(tls.get("client_cert_name") or tls.get("client_cert_chain"))
