"""Counts requests by method and route template: how many, how many failed, how long they took. Knows no clock.

Every template is counted; which of them `/state` names is the agent's choice, once for all workers. Names come from the
application's routes, never from clients: methods it does not know and paths it has no route for share a few.
"""

from collections.abc import Mapping
from typing import Any, Final

from paceline.telemetry import OTHER
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.route_template import route_template

MAX_TEMPLATES: Final = 1000
"""Templates with a name of their own in one process; it only stops applications that make routes up as they run."""
_MAX_LENGTH: Final = 512
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"})
_OTHER_METHOD: Final = "_OTHER"
"""As OpenTelemetry names methods that a client made up."""


class _Group:
    __slots__ = ("duration", "errors", "record")

    def __init__(self) -> None:
        self.errors = 0
        self.duration = Histogram()
        self.record = self.duration.record


class RequestStats:
    """Cumulative over the process's life. One owner: the event loop of a worker."""

    __slots__ = ("_by_key", "_groups", "_templates", "background_failures", "client_disconnects", "in_flight")

    def __init__(self) -> None:
        self.in_flight = 0
        """HTTP requests that the application is working on now; WebSockets are not counted."""
        self.client_disconnects = 0
        """Requests whose client hung up before the response was complete."""
        self.background_failures = 0
        """Exceptions after the response was complete, such as a background task's."""
        self._groups: dict[str, _Group] = {}
        self._by_key: dict[tuple[str, str | None], _Group] = {}
        self._templates: set[str] = set()

    def record(self, scope: Mapping[str, Any], seconds: float, failed: bool) -> None:
        """Adds one finished request. `failed`: responded with 5xx, not at all, or raised an exception."""
        key = scope["method"], route_template(scope)
        group = self._by_key.get(key)
        if group is None:
            group = self._new(scope, *key)
        group.record(seconds)
        if failed:
            group.errors += 1

    def excuse(self, *, left: bool, after_response: bool) -> bool:
        """Counts what is no error of the server, whatever became of the request; False where there was nothing such."""
        if left:
            self.client_disconnects += 1
        elif after_response:
            self.background_failures += 1
        return left or after_response

    def outcomes(self) -> dict[str, int]:
        """The `outcomes` of `/state`: what is in no count of errors."""
        return {"clientDisconnects": self.client_disconnects, "backgroundFailures": self.background_failures}

    def report(self) -> list[dict[str, Any]]:
        """The `requests` of a worker's report: `[{"group": "GET /products", "count", "errors", "duration"}]`."""
        rows = []
        for name, group in self._groups.items():
            duration = group.duration.to_json()
            rows.append({"group": name, "count": duration["count"], "errors": group.errors, "duration": duration})
        return rows

    def _new(self, scope: Mapping[str, Any], method: str, template: str | None) -> _Group:
        known_method = method in _METHODS
        counted = template is None or self._takes(template)
        name = group_name(method if _serves(scope, method) else _OTHER_METHOD, template if counted else None)
        group = self._groups.setdefault(name, _Group())
        if known_method and counted:  # anything else is made up, and must not grow the table
            self._by_key[method, template] = group
        return group

    def _takes(self, template: str) -> bool:
        if template not in self._templates:
            if len(self._templates) >= MAX_TEMPLATES:
                return False
            self._templates.add(template)
        return True


def _serves(scope: Mapping[str, Any], method: str) -> bool:
    """Whether the method may be part of a name: a known one that the route has, where it says which ones it has."""
    methods = getattr(scope.get("route"), "methods", None)
    return method in _METHODS and (not methods or method in methods)


def group_name(method: str, template: str | None) -> str:
    """`GET /products`, or `GET other` where the template is not known. Always text that can be encoded."""
    name = f"{method} {template or OTHER}"
    return name[:_MAX_LENGTH].encode("utf-8", "replace").decode()
