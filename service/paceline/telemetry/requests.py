"""Counts requests by method and route template: how many, how many failed, how long they took, which have a trace.

Knows no clock.

Every template is counted; which of them `/state` names is the agent's choice, once for all workers. Names come from the
application's routes, never from clients: methods it does not know and paths it has no route for share a few.
"""

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any, Final

from paceline.telemetry import OTHER, OTHER_METHOD
from paceline.telemetry.histogram import BOUNDARIES, Histogram
from paceline.telemetry.route_template import route_template

MAX_TEMPLATES: Final = 1000
"""Templates with a name of their own in one process; it only stops applications that make routes up as they run."""
MOST_EXEMPLARS: Final = 200
"""Requests with a trace that a worker tells of, the newest."""
_MAX_LENGTH: Final = 512
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE", "CONNECT"})
_USUAL: Final = frozenset({"GET", "POST"})


class _Group:
    __slots__ = ("duration", "errors", "name", "record")

    def __init__(self, name: str) -> None:
        self.name = name
        self.errors = 0
        self.duration = Histogram()
        self.record = self.duration.record


class RequestStats:
    """Cumulative over the process's life. One owner: the event loop of a worker."""

    __slots__ = (
        "_by_key", "_exemplars", "_groups", "_templates",
        "background_failures", "client_disconnects", "in_flight", "streams", "web_sockets",
    )  # fmt: skip

    def __init__(self) -> None:
        self.in_flight = 0
        """HTTP requests that the application is working on now, streams that have not ended among them."""
        self.streams = 0
        """Of these, responses of more than one part that have begun and not ended."""
        self.web_sockets = 0
        """WebSockets that are open now; they are in no other count."""
        self.client_disconnects = 0
        """Requests whose client hung up before the response was complete."""
        self.background_failures = 0
        """Exceptions after the response was complete, such as a background task's."""
        self._groups: dict[str, _Group] = {}
        self._by_key: dict[tuple[str, str | None], _Group] = {}
        self._templates: set[str] = set()
        self._exemplars: dict[tuple[str, int], dict[str, Any]] = {}

    def record(self, scope: Mapping[str, Any], seconds: float, failed: bool, status: int = 200) -> None:
        """Adds one finished request. `failed`: responded with 5xx, not at all, or raised an exception."""
        key = scope["method"], route_template(scope)
        group = self._by_key.get(key)
        if group is None:
            group = self._new(scope, *key, status)
        group.record(seconds)
        if failed:
            group.errors += 1

    def exemplify(self, scope: Mapping[str, Any], seconds: float, trace_id: str | None, at: float) -> None:
        """Adds the trace of a request that was recorded before: of each group and bucket the latest is told.

        Args:
            trace_id: None where it was not exported.
            at: seconds since 1970.
        """
        group = self._by_key.get((scope["method"], route_template(scope)))
        if group is None or trace_id is None:
            return
        key = group.name, bisect_left(BOUNDARIES, seconds)
        self._exemplars.pop(key, None)  # so that it becomes the newest
        self._exemplars[key] = {"traceId": trace_id, "seconds": seconds, "time": at}
        if len(self._exemplars) > MOST_EXEMPLARS:
            del self._exemplars[next(iter(self._exemplars))]

    def exemplars(self) -> dict[str, list[dict[str, Any]]]:
        """The `exemplars` of a worker's report, by group: `[{"traceId", "seconds", "time"}]`."""
        found: dict[str, list[dict[str, Any]]] = {}
        for (name, _), told in self._exemplars.items():
            found.setdefault(name, []).append(told)
        return found

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

    def _new(self, scope: Mapping[str, Any], method: str, template: str | None, status: int) -> _Group:
        known_method, tried = method in _METHODS, template is not None and _is_tried(scope, method, status)
        counted = template is None or self._takes(template)
        served = _serves(scope, method) and not tried
        name = group_name(method if served else OTHER_METHOD, template if counted else None)
        group = self._groups.setdefault(name, _Group(name))
        if known_method and counted and not tried:  # anything else is made up, and must not grow the table
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


def _is_tried(scope: Mapping[str, Any], method: str, status: int) -> bool:
    """Whether a client may be trying a method that a route does not have, where the route does not say which it has:
    mounted files and applications. The method gets a name with the first response that is no 4xx."""
    methods = getattr(scope.get("route"), "methods", None)
    return not methods and method not in _USUAL and 400 <= status < 500


def group_name(method: str, template: str | None) -> str:
    """`GET /products`, or `GET other` where the template is not known. Always text that can be encoded."""
    name = f"{method} {template or OTHER}"
    return name[:_MAX_LENGTH].encode("utf-8", "replace").decode()
