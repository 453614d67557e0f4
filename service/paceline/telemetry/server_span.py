"""What a server span says: name and attributes, by OpenTelemetry's HTTP semantic conventions (stable). Pure.

No query, header, body, client address or exception message reaches a span: they may hold what is secret or private.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from opentelemetry.trace import Status, StatusCode
from opentelemetry.util.types import AttributeValue

from paceline.telemetry.requests import route_template
from paceline.telemetry.sampler import GENERATION


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a request went. Times are of the process's monotonic clock, in seconds."""

    status: int
    """As sent; 0 if no answer was begun."""
    started: float
    answered: float
    """When the answer was complete, or the first byte of a stream was there."""
    ended: float
    """When the last byte was there."""
    failure: type[BaseException] | None = None
    """What the application raised; its type alone, since an exception would keep its frames alive."""

    @property
    def failed(self) -> bool:
        """Answered with 5xx, not at all, or with an exception."""
        return self.failure is not None or not 0 < self.status < 500

    @property
    def seconds(self) -> float:
        """The latency that counts."""
        return self.answered - self.started


def request_attributes(scope: Mapping[str, Any], generation: int, *, sampled: bool) -> dict[str, AttributeValue]:
    """What is known when a request arrives. Few on purpose: each costs about 3 µs a span."""
    return {
        "http.request.method": scope["method"],
        "url.path": scope["path"],
        GENERATION: generation,
        "paceline.sampled": sampled,
    }


def outcome_attributes(scope: Mapping[str, Any], outcome: Outcome) -> dict[str, AttributeValue]:
    """What is known when a request has been answered; by then layers further in know what a proxy said."""
    attributes: dict[str, AttributeValue] = {"url.scheme": scope.get("scheme", "http")}
    server = scope.get("server")
    if server is not None:
        attributes["server.address"] = server[0]
        if server[1] is not None:  # a UNIX socket has no port
            attributes["server.port"] = server[1]
    template = route_template(scope)
    if template is not None:
        attributes["http.route"] = template
    if outcome.status:
        attributes["http.response.status_code"] = outcome.status
    if outcome.failure is not None:
        attributes["error.type"] = outcome.failure.__qualname__
    elif outcome.failed:
        attributes["error.type"] = str(outcome.status) if outcome.status else "no_response"
    return attributes


def span_name(scope: Mapping[str, Any]) -> str:
    """`GET /products/{id}`, or `GET` alone where the route's template is not known."""
    template = route_template(scope)
    return f"{scope['method']} {template}" if template else str(scope["method"])


def span_status(outcome: Outcome) -> Status:
    """An error for 5xx, an exception or no answer; else unset, as the conventions want it of servers."""
    return Status(StatusCode.ERROR if outcome.failed else StatusCode.UNSET)
