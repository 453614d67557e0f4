"""Finished spans on their way to the collector: a queue that is bounded and counted, and never makes a request wait.

Starts a thread: make it after fork, never at import.
"""

from collections.abc import Sequence
from threading import Thread
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

SHUTDOWN_SECONDS: Final = 2.0


class SpanExportQueue(SpanProcessor):
    """Hands finished spans to a thread that sends them in batches. What does not fit is dropped and counted."""

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
        return self._exporter.delivered

    def on_end(self, span: ReadableSpan) -> None:
        context = span.get_span_context()
        if context is None or not context.trace_flags.sampled:
            return
        # Judged here, before the SDK's own queue, which drops the oldest and logs a line for each.
        if self.waiting >= self._max:
            self._overflown += 1
            return
        self._accepted += 1
        self._batches.on_end(span)

    def force_flush(self, timeout_millis: int = 30000) -> bool:
        return self._batches.force_flush(timeout_millis)

    def shutdown(self, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Sends what waits, for at most `timeout_seconds`; blocks the calling thread meanwhile.

        The SDK's own shutdown waits up to 30 s for a collector that hangs, hence a thread that may be left behind.
        """
        closing = Thread(target=self._batches.shutdown, name="paceline-span-shutdown", daemon=True)
        closing.start()
        closing.join(timeout_seconds)
        if closing.is_alive():
            self._exporter.shutdown()  # ends the exporter's retries


class _CountingExporter(SpanExporter):
    """Written by the sending thread, read by others; each counter has one writer."""

    def __init__(self, inner: SpanExporter) -> None:
        self._inner = inner
        self._closed = False
        self.taken = 0
        self.delivered = 0
        self.failed = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.taken += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.delivered += len(spans)
            else:
                self.failed += len(spans)
        return result

    def shutdown(self) -> None:
        if not self._closed:  # the SDK's thread and ours may both get here; a second call only warns
            self._closed = True
            self._inner.shutdown()
