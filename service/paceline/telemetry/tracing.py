"""Which requests get a span, and when. Draws first: a request that is not drawn costs next to nothing.

A request that was drawn, or that a trusted proxy samples, gets a real span at once, so that children attach. Of the
others the slow and the failed are exported when they end: one span, no children, `paceline.sampled` false.
"""

import os
import random
from collections.abc import Callable, Mapping
from contextvars import Token
from time import perf_counter, time_ns
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, SpanKind, TraceFlags, TraceState

import paceline
from paceline.settings import Settings, TelemetrySettings
from paceline.telemetry.exporting import (
    SHUTDOWN_SECONDS,
    SpanOutbox,
    exports_already,
    make_outbox,
    make_provider,
    make_resource,
)
from paceline.telemetry.server_span import Outcome, outcome_attributes, request_attributes, span_name, span_status
from paceline.telemetry.traceparent import Remote, TrustedPeers, parse_traceparent

_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_SAMPLED: Final = TraceFlags(TraceFlags.DEFAULT)
_SCOPE: Final = InstrumentationScope("paceline", paceline.__version__)
_IDS: Final = RandomIdGenerator()


class RequestTrace:
    """A request whose context is attached: drawn, or part of a caller's trace."""

    __slots__ = ("parent", "span", "token")

    def __init__(self, span: Span, parent: SpanContext | None, token: Token[context.Context]) -> None:
        self.span = span
        self.parent = parent
        self.token = token


class Tracing:
    """One a process, made after fork. Without an endpoint nothing is traced and `begin` is never called."""

    def __init__(
        self,
        settings: TelemetrySettings,
        provider: TracerProvider | None = None,
        outbox: SpanOutbox | None = None,
        *,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self.enabled: Final = outbox is not None
        self.slow_seconds: Final = settings.slow
        self._ratio = settings.ratio
        self._trusted = TrustedPeers(settings.trusted_proxies)
        self._own = provider
        self._outbox = outbox
        self._draw = draw
        self._provider: TracerProvider | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> "Tracing":
        """Tracing as the environment asks for it; starts the sending thread where an endpoint is named.

        Raises:
            UsageError: a trusted proxy is neither an address nor a network.
        """
        if not settings.opentelemetry.enabled:
            return cls(settings.telemetry)
        outbox = make_outbox(settings)
        resource = make_resource(settings, os.getpid(), paceline.__version__)
        provider = make_provider(resource, outbox, own_sampler=settings.opentelemetry.traces_sampler is None)
        return cls(settings.telemetry, provider, outbox)

    def begin(self, scope: Mapping[str, Any], generation: Callable[[], int]) -> RequestTrace | None:
        """Draws. None: not drawn and nobody's trace, so there is nothing to keep until the end."""
        for name, value in scope["headers"]:
            if name == b"traceparent":
                remote = parse_traceparent(value)
                if remote is not None:
                    return self._join(scope, remote, generation())
                break
        if self._draw() >= self._ratio:
            return None
        return self._start(scope, None, generation())

    def end(
        self, scope: Mapping[str, Any], request: RequestTrace | None, outcome: Outcome, generation: Callable[[], int]
    ) -> None:
        """Ends the span of a drawn request; exports one for a request that was not drawn but slow or failed."""
        if request is not None:
            context.detach(request.token)
            if request.span.is_recording():
                self._finish(scope, request.span, outcome)
                return
        if outcome.failed or outcome.duration > self.slow_seconds:
            self._export_late(scope, request, outcome, generation())

    def config_applied(
        self,
        *,
        generation: int,
        old: Mapping[str, Any],
        new: Mapping[str, Any],
        traceparent: str | None,
        seconds: float = 0.0,
    ) -> None:
        """The span `config.applied`: this process runs `generation` now.

        A root of its own, linked to the operator's span, since it is the consequence of a document, not a call.

        Args:
            old: the values before, in the wire form of `values`.
            new: the values now, likewise.
            traceparent: the document's; malformed or absent means no link.
            seconds: how long it took from adopting the document until now.
        """
        if self._own is None:
            return
        remote = parse_traceparent(traceparent) if traceparent else None
        origin = None if remote is None else _parent(remote, remote.sampled, None)
        ended = time_ns()
        span = self._own.get_tracer("paceline", paceline.__version__).start_span(
            "config.applied",
            context=context.Context(),  # not inside whatever span may be current
            attributes={
                "paceline.generation": generation,
                **_flat("paceline.old", old),
                **_flat("paceline.new", new),
            },
            links=[] if origin is None else [Link(origin)],
            start_time=ended - int(seconds * 1e9),
        )
        span.end(ended)

    @property
    def dropped(self) -> int:
        """Spans lost so far, because the queue was full or the collector did not take them."""
        return 0 if self._outbox is None else self._outbox.dropped

    @property
    def exported(self) -> int:
        """Spans the collector has accepted."""
        return 0 if self._outbox is None else self._outbox.exported

    def shutdown(self, timeout_seconds: float = SHUTDOWN_SECONDS) -> None:
        """Sends what waits, for at most `timeout_seconds`. Blocks: from a coroutine call it in a thread."""
        if self._outbox is not None:
            self._outbox.shutdown(timeout_seconds)

    def _join(self, scope: Mapping[str, Any], remote: Remote, generation: int) -> RequestTrace:
        """Stays in the caller's trace. Whether it is sampled is the caller's word only if we trust the peer."""
        client = scope.get("client")
        trusted = (client[0] if client else None) in self._trusted
        sampled = remote.sampled if trusted else self._draw() < self._ratio
        parent = _parent(remote, sampled, _tracestate(scope))
        if sampled:
            return self._start(scope, parent, generation)
        ours = SpanContext(parent.trace_id, _IDS.generate_span_id(), False, _NOT_SAMPLED, parent.trace_state)
        return _attach(NonRecordingSpan(ours), parent)

    def _start(self, scope: Mapping[str, Any], parent: SpanContext | None, generation: int) -> RequestTrace:
        provider = self._provider or self._choose_provider()
        above = context.Context()
        if parent is not None:
            above = trace.set_span_in_context(NonRecordingSpan(parent), above)
        span = provider.get_tracer("paceline", paceline.__version__).start_span(
            scope["method"],
            context=above,
            kind=SpanKind.SERVER,
            attributes=request_attributes(scope, generation, sampled=True),
        )
        return _attach(span, parent)

    def _finish(self, scope: Mapping[str, Any], span: Span, outcome: Outcome) -> None:
        span.update_name(span_name(scope))
        span.set_attributes(outcome_attributes(scope, outcome))
        span.set_status(span_status(outcome))
        span.end(_wall_clock_ns(outcome.ended))

    def _export_late(
        self, scope: Mapping[str, Any], request: RequestTrace | None, outcome: Outcome, generation: int
    ) -> None:
        """Exports a span after the fact.

        Built directly and not by a tracer: the sampler has no say any more, and a request in a caller's trace has
        already told its span id to those it called.
        """
        provider = self._provider or self._choose_provider()
        if request is None:
            parent, trace_id, span_id = None, _IDS.generate_trace_id(), _IDS.generate_span_id()
        else:
            ours = request.span.get_span_context()
            parent, trace_id, span_id = request.parent, ours.trace_id, ours.span_id
        state = None if parent is None else parent.trace_state
        span = ReadableSpan(
            name=span_name(scope),
            context=SpanContext(trace_id, span_id, False, _SAMPLED, state),
            parent=parent,
            resource=provider.resource,
            attributes=request_attributes(scope, generation, sampled=False) | outcome_attributes(scope, outcome),
            kind=SpanKind.SERVER,
            status=span_status(outcome),
            start_time=_wall_clock_ns(outcome.started),
            end_time=_wall_clock_ns(outcome.ended),
            instrumentation_scope=_SCOPE,
        )
        assert self._outbox is not None
        self._outbox.on_end(span)

    def _choose_provider(self) -> TracerProvider:
        """The application's provider if it has one by its first traced request, that is after its start-up; else ours.

        Theirs is extended: it sends to our collector too, unless it already does so itself.
        """
        assert self._own is not None
        assert self._outbox is not None
        theirs = trace.get_tracer_provider()
        if not isinstance(theirs, TracerProvider):
            trace.set_tracer_provider(self._own)
            self._provider = self._own
            return self._own
        if theirs is not self._own and not exports_already(theirs):
            theirs.add_span_processor(self._outbox)
        self._provider = theirs
        return theirs


def _parent(remote: Remote, sampled: bool, state: TraceState | None) -> SpanContext:
    return SpanContext(remote.trace_id, remote.span_id, True, _SAMPLED if sampled else _NOT_SAMPLED, state)


def _tracestate(scope: Mapping[str, Any]) -> TraceState:
    headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"tracestate"]
    return TraceState.from_header(headers)


def _attach(span: Span, parent: SpanContext | None) -> RequestTrace:
    return RequestTrace(span, parent, context.attach(trace.set_span_in_context(span)))


def _wall_clock_ns(monotonic: float) -> int:
    return time_ns() - int((perf_counter() - monotonic) * 1e9)


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """`{"pools": {"postgres": 8}}` → `{"paceline.new.pools.postgres": 8}`: one attribute a value, to search by."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(f"{prefix}.{name}", value)
        elif value is not None:
            flat[f"{prefix}.{name}"] = value
    return flat
