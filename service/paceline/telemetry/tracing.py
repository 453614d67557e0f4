"""Which requests get a span, and when. Draws first: a request that is not drawn costs next to nothing.

A request that was drawn, or that a trusted proxy samples, gets a span at once, so that children attach. Of the others
the slow and the failed are exported when they end: one span, no children, `paceline.sampled` false.
"""

import os
import random
from collections.abc import Callable, Mapping, MutableMapping
from contextvars import Token
from time import perf_counter_ns, time_ns
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.trace import NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, Tracer, TraceState
from opentelemetry.util.types import AttributeValue

from paceline.settings import Settings, TelemetrySettings
from paceline.telemetry.config_span import export_config_applied
from paceline.telemetry.export_queue import SHUTDOWN_SECONDS
from paceline.telemetry.loop_lag import LoopLag
from paceline.telemetry.pipeline import SpanPipeline
from paceline.telemetry.request_span import RequestSpan
from paceline.telemetry.server_span import (
    Identity,
    Outcome,
    finished_span,
    outcome_attributes,
    request_attributes,
    span_name,
    span_status,
)
from paceline.telemetry.slow_because import named_cause, spent_attributes
from paceline.telemetry.step_spans import step_spans
from paceline.telemetry.time_spent import TimeSpent
from paceline.telemetry.traceparent import Remote, parse_traceparent
from paceline.trusted_peers import TrustedPeers

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
_IDS: Final = RandomIdGenerator()


class RequestTrace:
    """A request whose span is current: it was drawn, or is part of a caller's trace."""

    __slots__ = ("parent", "span", "token")

    def __init__(self, span: Span, parent: SpanContext | None) -> None:
        self.span = span
        self.parent = parent
        self.token: Token[context.Context] = context.attach(trace.set_span_in_context(span))

    @property
    def traceparent(self) -> str:
        """See `TimeSpent.traceparent`. What is not sampled has no spans of calls: its own span calls."""
        ours = self.span.get_span_context()
        trace_id = trace.format_trace_id(ours.trace_id)
        return f"00-{trace_id}-{{}}-01" if ours.trace_flags.sampled else f"00-{trace_id}-{ours.span_id:016x}-00"


class Tracing:
    """One a process, made after fork. Without a pipeline it is off: `enabled` is false and nothing else is called."""

    def __init__(
        self,
        settings: TelemetrySettings,
        pipeline: SpanPipeline | None = None,
        *,
        trusted: TrustedPeers | None = None,
        draw: Callable[[], float] = random.random,
        loop_lag: LoopLag | None = None,
    ) -> None:
        self.slow_seconds: Final = settings.slow
        self._ratio = settings.ratio
        self._trusted = trusted or TrustedPeers("")
        self._pipeline = pipeline
        self._draw = draw
        self._loop_lag = loop_lag
        self._tracer: Tracer | None = None
        self._silence_frameworks = False

    @classmethod
    def from_settings(cls, settings: Settings, loop_lag: LoopLag | None = None) -> "Tracing":
        """Tracing as the environment asks for it; starts the sending thread where an endpoint is named.

        Raises:
            UsageError: a trusted proxy is neither an address nor a network.
        """
        pipeline = SpanPipeline(settings, os.getpid()) if settings.opentelemetry.enabled else None
        trusted = TrustedPeers(settings.middleware.trusted_proxies)
        return cls(settings.telemetry, pipeline, trusted=trusted, loop_lag=loop_lag)

    @property
    def enabled(self) -> bool:
        """Whether any span can be exported."""
        return self._pipeline is not None

    @property
    def exported(self) -> int:
        """Spans the collector has accepted so far."""
        return 0 if self._pipeline is None else self._pipeline.export_queue.exported

    @property
    def dropped(self) -> int:
        """Spans lost so far, because the queue was full or the collector did not take them."""
        return 0 if self._pipeline is None else self._pipeline.export_queue.dropped

    def begin(self, scope: MutableMapping[str, Any], generation: Callable[[], int]) -> RequestTrace | None:
        """Draws. None: not drawn and nobody's trace, so there is nothing to keep until the end."""
        if self._tracer is None:
            self._first_request()
        if self._silence_frameworks:
            # FastAPI from 0.142 on would make a second server span of every request, now that a provider is set.
            scope["fastapi.telemetry"] = None
        for name, value in scope["headers"]:
            if name == b"traceparent":
                remote = parse_traceparent(value)
                if remote is not None:
                    return self._join(scope, remote, generation())
                break
        if self._draw() >= self._ratio:
            return None
        return RequestTrace(self._start(scope, None, generation()), None)

    def end(
        self,
        scope: Mapping[str, Any],
        request: RequestTrace | None,
        outcome: Outcome,
        generation: Callable[[], int],
        spent: TimeSpent | None = None,
    ) -> str | None:
        """Exports the span of a drawn request with those of its steps, and of one that was slow or failed. Its trace,
        where there is one to look at.

        Args:
            spent: what the request waited for, held, looked up and called.
        """
        span = parent = None
        details = self._details(outcome, spent)
        if request is not None:
            context.detach(request.token)
            span, parent = request.span, request.parent
        if isinstance(span, RequestSpan):
            identity = Identity(span.get_span_context(), parent, span.generation, sampled=True)
            self._export(scope, identity, outcome, details, span)
            self._export_steps(identity.context, spent)
            return trace.format_trace_id(identity.context.trace_id)
        if span is not None and span.is_recording():
            span.set_attributes(details)
            _finish(scope, span, outcome, self.slow_seconds)
            self._export_steps(span.get_span_context(), spent)
            return trace.format_trace_id(span.get_span_context().trace_id)
        if outcome.failed or outcome.seconds > self.slow_seconds:
            late = _late_context(span)
            self._export(scope, Identity(late, parent, generation(), sampled=False), outcome, details)
            return trace.format_trace_id(late.trace_id)
        return None

    def config_applied(
        self,
        *,
        generation: int,
        policy: str,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        traceparent: str | None,
        seconds: float = 0.0,
    ) -> None:
        """Exports the span `config.applied`: this process runs `generation` now.

        Args:
            policy: whose document it is, `namespace/name`.
            old: the values before, in the wire form of `values`.
            new: the values now, likewise.
            traceparent: the document's; the span is linked to it, if it is well-formed.
            seconds: that applying it took.
        """
        if self._pipeline is not None:
            export_config_applied(self._pipeline.own_tracer, generation, policy, old, new, traceparent, seconds)

    def shutdown(self, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Sends what waits, for at most `timeout_seconds`. Blocks: from a coroutine call it in a thread."""
        if self._pipeline is not None:
            self._pipeline.shutdown(timeout_seconds)

    def _first_request(self) -> None:
        """The application has started by now and has set its own provider if it wants one."""
        assert self._pipeline is not None
        self._tracer = self._pipeline.request_tracer()
        self._silence_frameworks = self._pipeline.frameworks_may_be_silenced()

    def _join(self, scope: Mapping[str, Any], remote: Remote, generation: int) -> RequestTrace:
        """Stays in the caller's trace. Whether it is sampled is the caller's word only if we trust the peer."""
        client = scope.get("client")
        trusted = (client[0] if client else None) in self._trusted
        sampled = remote.sampled if trusted else self._draw() < self._ratio
        state = _tracestate(scope)
        parent = SpanContext(remote.trace_id, remote.span_id, True, _SAMPLED if sampled else _NOT_SAMPLED, state)
        if sampled:
            return RequestTrace(self._start(scope, parent, generation), parent)
        ours = SpanContext(remote.trace_id, _IDS.generate_span_id(), False, _NOT_SAMPLED, state)
        return RequestTrace(NonRecordingSpan(ours), parent)

    def _start(self, scope: Mapping[str, Any], parent: SpanContext | None, generation: int) -> Span:
        assert self._pipeline is not None
        assert self._tracer is not None
        if self._pipeline.is_own:
            trace_id = _IDS.generate_trace_id() if parent is None else parent.trace_id
            state = None if parent is None else parent.trace_state
            ours = SpanContext(trace_id, _IDS.generate_span_id(), False, _SAMPLED, state)
            return RequestSpan(ours, self._tracer, generation)
        # The application's provider has processors, limits and a sampler of its own, which only its tracer knows.
        above = context.Context()
        if parent is not None:
            above = trace.set_span_in_context(NonRecordingSpan(parent), above)
        attributes = request_attributes(scope, generation)
        return self._tracer.start_span(scope["method"], context=above, kind=SpanKind.SERVER, attributes=attributes)

    def _details(self, outcome: Outcome, spent: TimeSpent | None) -> dict[str, AttributeValue]:
        """What a slow or failed request spent its time on; the others have spans for it, if they were drawn."""
        if spent is None or not (outcome.failed or outcome.seconds > self.slow_seconds):
            return {}
        lag = 0.0 if self._loop_lag is None else self._loop_lag.worst_since(outcome.started, outcome.ended)
        return {**spent_attributes(spent, lag), **named_cause(spent, lag, outcome.seconds)}

    def _export(
        self,
        scope: Mapping[str, Any],
        identity: Identity,
        outcome: Outcome,
        details: Mapping[str, AttributeValue],
        span: RequestSpan | None = None,
    ) -> None:
        assert self._pipeline is not None
        written = None if span is None else span.written
        resource, slow = self._pipeline.resource, self.slow_seconds
        self._pipeline.export(finished_span(scope, identity, outcome, _offset(), resource, slow, details, written))

    def _export_steps(self, request: SpanContext, spent: TimeSpent | None) -> None:
        assert self._pipeline is not None
        if spent is not None:
            for span in step_spans(spent, request, _offset(), self._pipeline.resource):
                self._pipeline.export(span)


def _offset() -> int:
    """Nanoseconds from the process's monotonic clock to UTC."""
    return time_ns() - perf_counter_ns()


def _finish(scope: Mapping[str, Any], span: Span, outcome: Outcome, slow_seconds: float) -> None:
    span.update_name(span_name(scope))
    span.set_attributes(outcome_attributes(scope, outcome, slow_seconds))
    span.set_status(span_status(outcome))
    span.end(_offset() + int(outcome.ended * 1e9))


def log_fields() -> dict[str, str]:
    """`traceId` and `spanId` of the current span, for log lines; empty outside of a span."""
    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return {}
    return {"traceId": trace.format_trace_id(span.trace_id), "spanId": trace.format_span_id(span.span_id)}


def _late_context(span: Span | None) -> SpanContext:
    """The ids that the application has told those it called, now sampled; new ones if it could not tell any."""
    if span is None:
        return SpanContext(_IDS.generate_trace_id(), _IDS.generate_span_id(), False, _SAMPLED)
    told = span.get_span_context()
    return SpanContext(told.trace_id, told.span_id, False, _SAMPLED, told.trace_state)


def _tracestate(scope: Mapping[str, Any]) -> TraceState:
    return TraceState.from_header(
        [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    )
