"""Work that outlives a request, in traces: a span of its own, linked to the request that caused it.

Linked and not below it: the request's trace is over when its response is, and a job that waits for an hour would make
it an hour long.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode
from opentelemetry.util.types import AttributeValue

from paceline.settings import load_settings
from paceline.telemetry.pipeline import SpanPipeline
from paceline.telemetry.sampler import own_root
from paceline.telemetry.traceparent import links_to


def current_traceparent() -> str | None:
    """Of the request that is served now, as a W3C `traceparent`, to store with a job; None where it was not drawn."""
    span = trace.get_current_span().get_span_context()
    if not span.trace_flags.sampled:
        return None
    return f"00-{trace.format_trace_id(span.trace_id)}-{trace.format_span_id(span.span_id)}-01"


class JobSpans:
    """Exports spans of a process that `paceline serve` did not start, such as one that works off a queue.

    Configured by the same OTEL_* variables; without an endpoint it does nothing. Make it after a fork.
    """

    def __init__(self, pipeline: SpanPipeline | None) -> None:
        self._pipeline = pipeline

    @classmethod
    def from_environment(cls) -> "JobSpans":
        """Starts the sending thread where an endpoint is named.

        Raises:
            UsageError: names the variable that is wrong and what it must be.
        """
        settings = load_settings()
        return cls(SpanPipeline(settings, os.getpid()) if settings.opentelemetry.enabled else None)

    @contextmanager
    def linked(
        self,
        name: str,
        traceparent: str | None,
        attributes: Mapping[str, AttributeValue],
        kind: SpanKind = SpanKind.CONSUMER,
    ) -> Iterator[Span]:
        """A span around what runs inside; an exception fails it, and only the exception's type is exported.

        Args:
            traceparent: of the request to link to; nothing is linked if it is None or malformed.
        """
        if self._pipeline is None:
            yield INVALID_SPAN
            return
        with self._pipeline.own_tracer.start_as_current_span(
            name,
            own_root(),
            kind,
            attributes=attributes,
            links=links_to(traceparent),
            record_exception=False,  # with its message, which may be about a person
            set_status_on_exception=False,
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__qualname__)
                span.set_status(StatusCode.ERROR)
                raise

    def shutdown(self) -> None:
        """Sends what waits, for at most two seconds. Blocks: from a coroutine call it in a thread."""
        if self._pipeline is not None:
            self._pipeline.shutdown()
