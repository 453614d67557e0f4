"""Counts requests by route group: how many, how many failed, how long they took. Knows no clock and no framework."""

from collections.abc import Mapping
from typing import Any, Final

from paceline.telemetry.histogram import Histogram

MAX_GROUPS: Final = 8
OTHER: Final = "other"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"})


class _Group:
    __slots__ = ("duration", "errors", "record")

    def __init__(self) -> None:
        self.errors = 0
        self.duration = Histogram()
        self.record = self.duration.record


class RequestStats:
    """Cumulative over the process's life. One owner: the event loop of a worker."""

    __slots__ = ("_by_key", "_groups", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        """HTTP requests that the application is working on now; WebSockets are not counted."""
        self._groups: dict[str, _Group] = {}
        self._by_key: dict[tuple[str, str | None], _Group] = {}

    def record(self, scope: Mapping[str, Any], seconds: float, failed: bool) -> None:
        """Adds one finished request. `failed`: answered with 5xx, not at all, or with an exception."""
        key = scope["method"], route_template(scope)
        group = self._by_key.get(key)
        if group is None:
            group = self._new(*key)
        group.record(seconds)
        if failed:
            group.errors += 1

    def report(self) -> list[dict[str, Any]]:
        """The `requests` of `/state`: `[{"group": "GET /products", "count", "errors", "duration"}]`, ≤ 8 + `other`."""
        rows = []
        for name, group in self._groups.items():
            duration = group.duration.to_json()
            rows.append({"group": name, "count": duration["count"], "errors": group.errors, "duration": duration})
        return rows

    def _new(self, method: str, template: str | None) -> _Group:
        known = method in _METHODS
        name = group_name(method if known else "_OTHER", template)
        if name not in self._groups and len(self._groups) >= MAX_GROUPS:
            name = OTHER
        group = self._groups.setdefault(name, _Group())
        if known:  # any other method is a client's invention and must not grow the table
            self._by_key[method, template] = group
        return group


def route_template(scope: Mapping[str, Any]) -> str | None:
    """The route's pattern (`/products/{id}`) where the framework left it in the scope, else None; never a raw path.

    Starlette and FastAPI leave `route`, Litestar `path_template`.
    """
    route = scope.get("route")
    if route is not None:
        return getattr(route, "path", None)
    return scope.get("path_template")


def group_name(method: str, template: str | None) -> str:
    """`GET /products`, or `GET other` where the template is not known."""
    return f"{method} {template or OTHER}"
