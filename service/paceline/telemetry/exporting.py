"""From finished spans to the collector: resource, provider, and a queue that is bounded, counted and never waits.

Threads start here: build it after fork, never at import.
"""

from collections.abc import Mapping, Sequence
from threading import Thread
from typing import Final

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, SpanKind, TraceState
from opentelemetry.util.types import Attributes

from paceline.settings import Settings

SHUTDOWN_SECONDS: Final = 2.0


class SpanOutbox(SpanProcessor):
    """Takes finished spans and has a thread send them in batches. What does not fit is dropped and counted."""

    def __init__(self, exporter: SpanExporter, *, max_queue_size: int, max_batch_size: int) -> None:
        self._max = max_queue_size
        self._exporter = _CountingExporter(exporter)
        self._batches = BatchSpanProcessor(
            self._exporter, max_queue_size=max_queue_size, max_export_batch_size=min(max_batch_size, max_queue_size)
        )
        self._accepted = 0
        self._overflown = 0

    @property
    def waiting(self) -> int:
        """Spans accepted and not yet handed to the exporter."""
        return self._accepted - self._exporter.taken

    @property
    def dropped(self) -> int:
        """Spans lost so far: the queue was full, or the collector did not take them."""
        return self._overflown + self._exporter.failed

    @property
    def exported(self) -> int:
        """Spans the collector has accepted."""
        return self._exporter.taken - self._exporter.failed

    def on_end(self, span: ReadableSpan) -> None:
        # Counted here, before the SDK's own queue, which drops the oldest and logs a line each time.
        if self.waiting >= self._max:
            self._overflown += 1
            return
        context = span.get_span_context()
        if context is not None and context.trace_flags.sampled:
            self._accepted += 1
            self._batches.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def shutdown(self, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Sends what waits, for at most `timeout_seconds`; blocks the calling thread meanwhile.

        The SDK's own shutdown waits up to 30 s for a collector that hangs, hence the thread of our own.
        """
        closing = Thread(target=self._batches.shutdown, name="paceline-span-shutdown", daemon=True)
        closing.start()
        closing.join(timeout_seconds)
        if closing.is_alive():
            self._exporter.shutdown()  # ends the exporter's retries


class _CountingExporter(SpanExporter):
    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._closed = False
        self.taken = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        try:
            result = self._inner.export(spans)
        except Exception:
            self.failed += len(spans)
            raise
        if result is not SpanExportResult.SUCCESS:
            self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        if not self._closed:
            self._closed = True
            self._inner.shutdown()


class RequestSampler(Sampler):
    """Decides about spans without a parent: ours are in, since they were drawn before; others are out.

    A request that was not drawn has no context, so without this rule every database call in it would start a trace.
    """

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        ours = attributes is not None and "paceline.generation" in attributes
        return SamplingResult(Decision.RECORD_AND_SAMPLE if ours else Decision.DROP, attributes, trace_state)

    def get_description(self) -> str:
        return "PacelineRequestSampler"


def make_provider(resource: Resource, outbox: SpanOutbox, *, own_sampler: bool) -> TracerProvider:
    """A provider whose spans go to `outbox`.

    Args:
        own_sampler: False leaves the choice to the SDK, which reads OTEL_TRACES_SAMPLER.
    """
    sampler = ParentBased(root=RequestSampler()) if own_sampler else None
    # Paceline shuts it down in bounded time; the SDK's exit handler would wait for a collector that hangs.
    provider = TracerProvider(sampler=sampler, resource=resource, shutdown_on_exit=False)
    provider.add_span_processor(outbox)
    return provider


def exports_already(provider: TracerProvider) -> bool:
    """Whether a provider that the application made sends its spans by OTLP itself: a second time would double them."""
    # The SDK has no public way to ask a provider for its processors; not finding any only means that we add ours.
    processors = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
    return any(isinstance(getattr(each, "span_exporter", None), OTLPSpanExporter) for each in processors)


def make_outbox(settings: Settings) -> SpanOutbox:
    """An outbox to the OTLP/HTTP endpoint that the OTEL_* variables name."""
    return SpanOutbox(
        OTLPSpanExporter(),
        max_queue_size=settings.opentelemetry.bsp_max_queue_size,
        max_batch_size=settings.opentelemetry.bsp_max_export_batch_size,
    )


def make_resource(settings: Settings, pid: int, version: str) -> Resource:
    """Who sends the spans. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES win over what Paceline knows itself."""
    serve = settings.serve
    known: Mapping[str, str] = {
        "service.name": settings.opentelemetry.service_name,
        "service.instance.id": f"{serve.pod_uid or serve.pod_name}-{pid}",
        "service.version": serve.service_version,
        "k8s.pod.name": serve.pod_name,
        "k8s.pod.uid": serve.pod_uid,
        "telemetry.distro.name": "paceline",
        "telemetry.distro.version": version,
    }
    ours = Resource.create({name: value for name, value in known.items() if value})
    return ours.merge(OTELResourceDetector().detect())
