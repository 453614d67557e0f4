"""What a server span says: name and attributes, by OpenTelemetry's HTTP semantic conventions (stable). Pure.

No query, header, body, client address or exception message reaches a span: they may hold what is secret or private.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

import paceline
from paceline.telemetry.route_template import route_template
from paceline.telemetry.sampler import GENERATION

OUTCOME: Final = "paceline.outcome"
_SCOPE: Final = InstrumentationScope("paceline", paceline.__version__)


class Identity(NamedTuple):
    """Where a request's span stands in its trace."""

    context: SpanContext
    parent: SpanContext | None
    generation: int
    sampled: bool
    """Whether it was drawn; the others are exported because they were slow or failed."""


class Outcome(NamedTuple):
    """How a request went. Times are of the process's monotonic clock, in seconds."""

    status: int
    """As sent; 0 if no response was begun."""
    started: float
    responded: float
    """When the response was complete, or the first byte of a stream was there."""
    ended: float
    """When the last byte was there."""
    failure: type[BaseException] | None = None
    """What the application raised; its type alone, since an exception would keep its frames alive."""
    no_error: bool = False
    """The client hung up, or what failed was a background task after the response: no error of the server."""

    @property
    def failed(self) -> bool:
        """Responded with 5xx, not at all, or raised an exception."""
        return not self.no_error and (self.failure is not None or not 0 < self.status < 500)

    @property
    def seconds(self) -> float:
        """The latency that counts."""
        return self.responded - self.started


def request_attributes(scope: Mapping[str, Any], generation: int) -> dict[str, AttributeValue]:
    """What is known when a request arrives. Few on purpose: each costs about 3 µs a span."""
    return {"http.request.method": scope["method"], "url.path": scope["path"], GENERATION: generation}


def outcome_attributes(scope: Mapping[str, Any], outcome: Outcome, slow_seconds: float) -> dict[str, AttributeValue]:
    """What is known when a request has had its response; by then middleware further in knows what a proxy said.

    `OUTCOME` is there for the requests that are always kept, so that one search finds them all.
    """
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
    if outcome.failed:
        attributes["error.type"] = _error_type(outcome)
        attributes[OUTCOME] = "failed"
    elif outcome.seconds > slow_seconds:
        attributes[OUTCOME] = "slow"
    return attributes


def _error_type(outcome: Outcome) -> str:
    if outcome.failure is not None:
        return outcome.failure.__qualname__
    return str(outcome.status) if outcome.status else "no_response"


def span_name(scope: Mapping[str, Any]) -> str:
    """`GET /products/{id}`, or `GET` alone where the route's template is not known."""
    template = route_template(scope)
    return f"{scope['method']} {template}" if template else str(scope["method"])


def span_status(outcome: Outcome) -> Status:
    """An error for 5xx, an exception or no response; else unset, as the conventions want it of servers."""
    return Status(StatusCode.ERROR if outcome.failed else StatusCode.UNSET)


def finished_span(
    scope: Mapping[str, Any],
    identity: Identity,
    outcome: Outcome,
    wall_clock_offset_ns: int,
    resource: Resource,
    slow_seconds: float,
    details: Mapping[str, AttributeValue] | None = None,
    written: SdkSpan | None = None,
) -> ReadableSpan:
    """The span of a request that is over.

    Built directly and not by a tracer: that costs a third, samplers have no say any more, and in a caller's trace the
    span's id has already been told to those the application called.

    Args:
        wall_clock_offset_ns: from the clock of `outcome` to UTC.
        slow_seconds: from when on a request counts as slow.
        details: further attributes.
        written: what the application wrote to its span, if anything.
    """
    attributes = request_attributes(scope, identity.generation)
    attributes |= outcome_attributes(scope, outcome, slow_seconds)
    attributes |= details or {}
    if not identity.sampled:
        attributes["paceline.sampled"] = False
    name, status = span_name(scope), span_status(outcome)
    if written is not None:
        attributes |= written.attributes or {}
        name = written.name or name
        status = status if outcome.failed else written.status
    return ReadableSpan(
        name=name,
        context=identity.context,
        parent=identity.parent,
        resource=resource,
        attributes=attributes,
        events=() if written is None else written.events,
        links=() if written is None else written.links,
        kind=SpanKind.SERVER,
        status=status,
        start_time=wall_clock_offset_ns + int(outcome.started * 1e9),
        end_time=wall_clock_offset_ns + int(outcome.ended * 1e9),
        instrumentation_scope=_SCOPE,
    )
