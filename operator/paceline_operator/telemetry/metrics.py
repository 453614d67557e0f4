"""The operator's own metrics: one table, bounded labels. They are measured off the spans of the loop, so the loop
knows one way to say what it does."""

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from paceline_operator.ports import Span, Tracer

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
            "Passes that ended in an error, by its kind.",
            ["error"],
            registry=self.registry,
        )
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
        self.wanted_replicas = Gauge(
            "paceline_policy_wanted_replicas",
            "Pods that meet a policy's objective with room, with the values in force or recommended.",
            ["policy"],
            registry=self.registry,
        )
        self.overdue = Gauge(
            "paceline_operator_overdue_seconds",
            "How late the latest pass is; grows for ever when a loop hangs.",
            registry=self.registry,
        )


class _HeardSpan:
    """Remembers what passes through of which there is a metric."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self.reason: str | None = None
        self.wanted_replicas: int | None = None
        self.gone = False

    @property
    def traceparent(self) -> str | None:
        return self._span.traceparent

    def set(self, **attributes: str | int | float | bool) -> None:
        if "reason" in attributes:
            self.reason = str(attributes["reason"])
        if "wanted_replicas" in attributes:
            self.wanted_replicas = int(attributes["wanted_replicas"])
        self.gone = self.gone or bool(attributes.get("gone"))
        self._span.set(**attributes)


class MeasuringTracer:
    """Fulfils `ports.Tracer` on top of another one and counts what it sees."""

    def __init__(self, tracer: Tracer, metrics: Metrics, *, clock: Callable[[], float]) -> None:
        """`clock` gives monotonic seconds."""
        self._tracer = tracer
        self._metrics = metrics
        self._clock = clock

    @contextmanager
    def span(self, name: str, **attributes: str | int | float | bool) -> Iterator[Span]:
        """A span of the inner tracer, measured."""
        started = self._clock()
        with self._tracer.span(name, **attributes) as inner:
            span = _HeardSpan(inner)
            try:
                yield span
            except Exception as error:
                if name == "reconcile":
                    self._metrics.failures.labels(type(error).__name__).inc()
                raise
            finally:
                self._count(name, span.reason, self._clock() - started)
                if name == "reconcile":
                    self._of_policy(str(attributes.get("policy", "")), span)

    def _of_policy(self, policy: str, span: _HeardSpan) -> None:
        if span.wanted_replicas is not None:
            self._metrics.wanted_replicas.labels(policy).set(span.wanted_replicas)
        if span.gone:
            with contextlib.suppress(KeyError):
                self._metrics.wanted_replicas.remove(policy)

    def _count(self, name: str, reason: str | None, seconds: float) -> None:
        if name == "reconcile":
            self._metrics.reconcile.observe(seconds)
        elif name == "propagate":
            self._metrics.propagation.observe(seconds)
        elif name == "decide" and reason is not None:
            self._metrics.decisions.labels(reason).inc()
