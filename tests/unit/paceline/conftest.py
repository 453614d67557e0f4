"""Tracing into a list, for the tests of telemetry and middleware."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.util._once import Once
from paceline.settings import OpenTelemetrySettings, ServeSettings, Settings, TelemetrySettings
from paceline.telemetry.pipeline import SpanPipeline
from paceline.telemetry.tracing import Tracing
from paceline.trusted_peers import TrustedPeers


class ListExporter(SpanExporter):
    """A collector that takes everything."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


class Traced:
    """`Tracing` as the environment would make it, but for the exporter and the draw."""

    def __init__(
        self, *, serve: dict[str, Any], draw: Callable[[], float], opentelemetry: dict[str, Any], **telemetry: Any
    ) -> None:
        settings = Settings(
            serve=ServeSettings(**serve),
            telemetry=TelemetrySettings(**telemetry),
            opentelemetry=OpenTelemetrySettings(**opentelemetry),
        )
        self._exporter = ListExporter()
        self.pipeline = SpanPipeline(settings, 7, self._exporter)
        trusted = TrustedPeers(settings.middleware.trusted_proxies)
        self.tracing = Tracing(settings.telemetry, self.pipeline, trusted=trusted, draw=draw)

    def spans(self) -> list[ReadableSpan]:
        """All spans finished so far."""
        self.pipeline.export_queue.force_flush()
        return self._exporter.spans


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Traced]]:
    """Makes a `Traced`; `draw` is 1.0 (nobody is drawn) unless given.

    OpenTelemetry lets a process set its provider once; each test starts as a new process would.
    """
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    made: list[Traced] = []

    def make(
        *,
        draw: Callable[[], float] = lambda: 1.0,
        serve: dict[str, Any] | None = None,
        opentelemetry: dict[str, Any] | None = None,
        **telemetry: Any,
    ) -> Traced:
        made.append(Traced(serve=serve or {}, draw=draw, opentelemetry=opentelemetry or {}, **telemetry))
        return made[-1]

    yield make
    for each in made:
        each.tracing.shutdown()
