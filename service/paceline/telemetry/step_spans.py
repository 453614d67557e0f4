"""The spans below a request's: one for each step that the runtime saw. Names and attributes only; decides nothing."""

from collections.abc import Iterator
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags
from opentelemetry.util.types import AttributeValue

import paceline
from paceline.telemetry.time_spent import Kind, Step, TimeSpent, new_span_id

_SCOPE: Final = InstrumentationScope("paceline", paceline.__version__)
_NAMED_BY: Final = {
    Kind.WAIT: "db.client.connection.pool.name",
    Kind.HOLD: "db.client.connection.pool.name",
    Kind.LOOKUP: "paceline.cache.name",
    Kind.FETCH: "paceline.cache.name",
    Kind.CALL: "paceline.pool",
    Kind.RUN: "paceline.pool",
}
"""The attribute that holds the name of a step's pool or cache."""
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


def step_spans(
    spent: TimeSpent, request: SpanContext, wall_clock_offset_ns: int, resource: Resource
) -> Iterator[ReadableSpan]:
    """Children of the span of `request`, and theirs; a step whose own parent was left out hangs on the request."""
    steps = spent.steps
    known = {step.span_id for step in steps if step.span_id}
    for step in steps:
        above = step.above if step.above in known else request.span_id
        yield ReadableSpan(
            name=_name(step),
            context=_context(request, step.span_id or new_span_id()),
            parent=_context(request, above),
            resource=resource,
            attributes=_attributes(step),
            kind=SpanKind.CLIENT if step.kind is Kind.CALL else SpanKind.INTERNAL,
            status=Status(StatusCode.ERROR if "error.type" in step.attributes else StatusCode.UNSET),
            start_time=wall_clock_offset_ns + int(step.started * 1e9),
            end_time=wall_clock_offset_ns + int(step.ended * 1e9),
            instrumentation_scope=_SCOPE,
        )


def _name(step: Step) -> str:
    if step.kind is Kind.CALL:  # by OpenTelemetry's HTTP conventions: the method alone, where no template is known
        return str(step.attributes.get("http.request.method", "HTTP"))
    return f"{step.name} {step.kind}"


def _attributes(step: Step) -> dict[str, AttributeValue]:
    return {_NAMED_BY[step.kind]: step.name, **step.attributes}


def _context(request: SpanContext, span_id: int) -> SpanContext:
    return SpanContext(request.trace_id, span_id, False, _SAMPLED, request.trace_state)
