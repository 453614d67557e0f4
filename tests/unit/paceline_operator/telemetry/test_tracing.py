"""Spans of the loop, and the metrics measured off them."""

import threading
import time
from collections.abc import Sequence

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from paceline_operator.ports import NoTracer
from paceline_operator.telemetry import tracing
from paceline_operator.telemetry.metrics import MeasuringTracer, Metrics
from paceline_operator.telemetry.tracing import OtlpTracer, make_tracer


class Clock:
    """Moves only when told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_the_steps_of_a_pass_are_one_trace_and_carry_its_context_out() -> None:
    exporter = InMemorySpanExporter()
    tracer = OtlpTracer(exporter, instance="pod-1")
    with tracer.span("reconcile", policy="shop/api") as root, tracer.span("decide") as decide:
        decide.set(reason="LoopLagHigh", generation=17)
    tracer.shutdown()
    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("decide", "reconcile")
    assert inner.parent == outer.context
    assert root.traceparent is not None
    version, trace_id, span_id, flags = root.traceparent.split("-")
    assert (version, trace_id, span_id) == ("00", f"{outer.context.trace_id:032x}", f"{outer.context.span_id:016x}")
    assert int(flags, 16) & 1, "sampled"
    assert dict(inner.attributes or {}) == {"paceline.reason": "LoopLagHigh", "paceline.generation": 17}
    assert dict(outer.attributes or {}) == {"paceline.policy": "shop/api"}
    assert outer.resource.attributes["service.name"] == "paceline-operator"


def test_a_trace_that_is_not_sampled_names_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    tracer = OtlpTracer(InMemorySpanExporter(), instance="pod-1")
    with tracer.span("reconcile") as span:
        assert span.traceparent is None
    tracer.shutdown()


def test_an_error_is_recorded_and_goes_on() -> None:
    exporter = InMemorySpanExporter()
    tracer = OtlpTracer(exporter, instance="pod-1")
    with pytest.raises(LookupError), tracer.span("apply"):
        raise LookupError("no such pod")
    tracer.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.status.description == "LookupError: no such pod"


class StuckExporter(SpanExporter):
    """A collector that takes a connection and never answers."""

    def __init__(self, released: threading.Event) -> None:
        self._released = released

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._released.wait(30)
        return SpanExportResult.FAILURE


def test_a_dead_collector_does_not_hold_up_the_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "SHUTDOWN_SECONDS", 0.2)
    released = threading.Event()
    tracer = OtlpTracer(StuckExporter(released), instance="pod-1")
    with tracer.span("reconcile"):
        pass
    started = time.monotonic()
    tracer.shutdown()
    took = time.monotonic() - started
    released.set()
    assert took < 15


def test_without_an_endpoint_nothing_is_traced() -> None:
    assert isinstance(make_tracer(None, instance="pod-1"), NoTracer)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_a_pass_is_counted_by_what_it_decided_and_how_long_it_took() -> None:
    metrics, clock = Metrics(), Clock()
    tracer = MeasuringTracer(NoTracer(), metrics, clock=clock)
    with tracer.span("reconcile"):
        with tracer.span("decide") as decide:
            decide.set(reason="PoolWaitHigh")
        with tracer.span("propagate"):
            clock.seconds += 0.6
        clock.seconds += 1.0
    assert value(metrics, "paceline_operator_decisions_total", reason="PoolWaitHigh") == 1
    assert value(metrics, "paceline_operator_propagation_seconds_sum") == pytest.approx(0.6)
    assert value(metrics, "paceline_operator_reconcile_seconds_sum") == pytest.approx(1.6)


def test_a_pass_that_fails_took_its_time_as_well() -> None:
    metrics = Metrics()
    tracer = MeasuringTracer(NoTracer(), metrics, clock=Clock())
    with pytest.raises(TimeoutError), tracer.span("reconcile"), tracer.span("observe"):
        raise TimeoutError
    assert value(metrics, "paceline_operator_reconcile_seconds_count") == 1


def test_spans_that_the_collector_refuses_are_counted() -> None:
    tracer = OtlpTracer(Refusing(), instance="pod-1")
    for _ in range(3):
        with tracer.span("reconcile"):
            pass
    tracer.shutdown()

    assert tracer.dropped == 3


class Refusing(SpanExporter):
    """A collector that takes nothing."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE
