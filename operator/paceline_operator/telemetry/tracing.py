"""Traces of the loop over OTLP/HTTP. Off, and not even imported machinery at work, unless an endpoint is named."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

import paceline_operator
from paceline_operator.ports import Attribute, NoTracer, Span, Tracer

SHUTDOWN_SECONDS: Final = 3.0


class OtlpSpan:
    """A span that is recorded."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """W3C trace context; None where the sampler dropped this trace."""
        context = self._span.get_span_context()
        if not context.trace_flags.sampled:
            return None
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def set(self, **attributes: Attribute | None) -> None:
        """Adds attributes under `paceline.`."""
        self._span.set_attributes(_prefixed(attributes))

    def event(self, name: str, **attributes: Attribute) -> None:
        """Adds an event; its attributes are under `paceline.`, too."""
        self._span.add_event(name, _prefixed(attributes))

    def link(self, traceparent: str) -> None:
        """Links the span of a W3C trace context."""
        carrier = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
        context = trace.get_current_span(carrier).get_span_context()
        if context.is_valid:
            self._span.add_link(context)


def _prefixed(attributes: Mapping[str, Attribute | None]) -> dict[str, Attribute]:
    return {f"paceline.{name}": value for name, value in attributes.items() if value is not None}


class CountingExporter(SpanExporter):
    """Counts the spans that the collector did not take. Written by the sending thread alone."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            self.dropped += 0 if result is SpanExportResult.SUCCESS else len(spans)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()


class OtlpTracer:
    """Fulfils `ports.Tracer`. Each `reconcile` is the root of a trace of its own."""

    def __init__(self, exporter: SpanExporter, *, instance: str) -> None:
        resource = Resource.create(
            {
                SERVICE_NAME: "paceline-operator",
                SERVICE_VERSION: paceline_operator.__version__,
                SERVICE_INSTANCE_ID: instance,
            }
        )
        # Never the global provider: nothing else in this process is to be traced by accident.
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._exporter = CountingExporter(exporter)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter))
        self._tracer = self._provider.get_tracer("paceline_operator", paceline_operator.__version__)

    @property
    def dropped(self) -> int:
        """Spans that the collector did not take so far."""
        return self._exporter.dropped

    @contextmanager
    def span(self, name: str, **attributes: Attribute) -> Iterator[Span]:
        """A span around the with-block; what it raises is recorded on it and goes on."""
        with self._tracer.start_as_current_span(name) as span:
            wrapped = OtlpSpan(span)
            wrapped.set(**attributes)
            yield wrapped

    def flush(self) -> None:
        """Sends what has ended so far."""
        self._provider.force_flush()

    def shutdown(self) -> None:
        """Sends what is left, for at most `SHUTDOWN_SECONDS`: a dead collector must not hold up the exit."""
        sender = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        sender.start()
        sender.join(SHUTDOWN_SECONDS)


def make_tracer(endpoint: str | None, *, instance: str) -> Tracer:
    """The tracer that an operator with this endpoint uses; the exporter reads `OTEL_EXPORTER_OTLP_*` itself."""
    return OtlpTracer(OTLPSpanExporter(), instance=instance) if endpoint else NoTracer()
