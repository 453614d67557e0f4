"""The operator's own metrics: one table, bounded labels. What passes do is measured off the spans of the
loop, so that it knows one way to say it; failures are counted outside of them (`loop/counting.py`)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from paceline_operator.ports import Attribute, PlatformRefused, PlatformUnavailable, Span, Tracer
from paceline_operator.telemetry.policy_metrics import PolicyMetrics

USUAL_ERRORS: Final = (PlatformUnavailable.__name__, PlatformRefused.__name__)
"""Kinds of failure whose counts begin at zero, so that the first burst is an increase; others appear as they come."""
_PASS_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_PROPAGATION_SECONDS: Final = (0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 90.0)


class Metrics:
    """The table. `registry` is what /metrics shows."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.decisions = Counter(
            "paceline_operator_decisions",
            "Decisions by reason; holds count too.",
            ["reason"],
            registry=self.registry,
        )
        self.reconcile = Histogram(
            "paceline_operator_reconcile_seconds",
            "Duration of one pass over one policy, waiting for pods included.",
            buckets=_PASS_SECONDS,
            registry=self.registry,
        )
        self.failures = Counter(
            "paceline_operator_reconcile_failures",
            "Passes over policies and budgets that ended in an error, by its kind; what cannot be begun counts too.",
            ["error"],
            registry=self.registry,
        )
        for error in USUAL_ERRORS:
            self.failures.labels(error)
        self.propagation = Histogram(
            "paceline_operator_propagation_seconds",
            "From the nudge to the last pod that runs the new document, or to the end of the wait.",
            buckets=_PROPAGATION_SECONDS,
            registry=self.registry,
        )
        self.spans_dropped = Gauge(
            "paceline_operator_spans_dropped",
            "Spans of the loop that the collector did not take, since the start.",
            registry=self.registry,
        )
        self.policies = Gauge("paceline_operator_policies", "Policies that have a loop.", registry=self.registry)
        self.overdue = Gauge(
            "paceline_operator_overdue_seconds",
            "How late the latest pass over a policy or a budget is; grows for ever when a loop hangs.",
            registry=self.registry,
        )
        self.of_policies = PolicyMetrics(self.registry)

    def failed(self, error: str) -> None:
        """A pass ended in an error of this kind."""
        self.failures.labels(error).inc()


class _HeardSpan:
    """Remembers what passes through of which there is a metric."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.reason: str | None = None

    @property
    def traceparent(self) -> str | None:
        return self._span.traceparent

    def set(self, **attributes: Attribute | None) -> None:
        if "reason" in attributes:
            self.reason = str(attributes["reason"])
        self._span.set(**attributes)

    def event(self, name: str, **attributes: Attribute) -> None:
        self._span.event(name, **attributes)

    def link(self, traceparent: str) -> None:
        self._span.link(traceparent)


class MeasuringTracer:
    """Fulfils `ports.Tracer` on top of another one and counts what it sees."""

    def __init__(self, tracer: Tracer, metrics: Metrics, *, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock

    @contextmanager
    def span(self, name: str, **attributes: Attribute) -> Iterator[Span]:
        """A span of the inner tracer, measured."""
        started = self._clock()
        with self._tracer.span(name, **attributes) as inner:
            span = _HeardSpan(inner)
            try:
                yield span
            finally:
                self._count(name, span.reason, self._clock() - started)

    def _count(self, name: str, reason: str | None, seconds: float) -> None:
        if name == "reconcile":
            self._metrics.reconcile.observe(seconds)
        elif name == "propagate":
            self._metrics.propagation.observe(seconds)
        elif name == "decide" and reason is not None:
            self._metrics.decisions.labels(reason).inc()
