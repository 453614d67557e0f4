"""The span of a drawn request while it runs: what is current for the application, and what it writes there.

The SDK's own span costs three times as much, and few handlers write to it. So one is made only for those who do; it
is never ended, only read when the request is exported.
"""

from collections.abc import Mapping
from typing import cast

from opentelemetry.context import Context
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.trace import Span, SpanContext, Status, StatusCode, Tracer
from opentelemetry.util.types import AnyValue, Attributes

from paceline.telemetry.sampler import GENERATION


class RequestSpan(Span):
    """Belongs to one request; `Tracing` ends it, whatever the application does."""

    __slots__ = ("_context", "_tracer", "generation", "written")

    def __init__(self, context: SpanContext, tracer: Tracer, generation: int) -> None:
        self._context = context
        self._tracer = tracer
        self.generation = generation
        self.written: SdkSpan | None = None
        """What the application has written, if anything; its name is empty unless updated."""

    def _details(self) -> SdkSpan:
        if self.written is None:
            ours = {GENERATION: self.generation}  # for the sampler, which knows our spans by it
            self.written = cast("SdkSpan", self._tracer.start_span("", context=Context(), attributes=ours))
        return self.written

    def get_span_context(self) -> SpanContext:
        return self._context

    def is_recording(self) -> bool:
        return True

    def end(self, end_time: int | None = None) -> None:
        """Does nothing: the request is not over."""

    def set_attributes(self, attributes: Mapping[str, AnyValue]) -> None:
        self._details().set_attributes(attributes)

    def set_attribute(self, key: str, value: AnyValue) -> None:
        self._details().set_attribute(key, value)

    def add_event(self, name: str, attributes: Attributes = None, timestamp: int | None = None) -> None:
        self._details().add_event(name, attributes, timestamp)

    def add_link(self, context: SpanContext, attributes: Attributes = None) -> None:
        self._details().add_link(context, attributes)

    def update_name(self, name: str) -> None:
        self._details().update_name(name)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        self._details().set_status(status, description)

    def record_exception(
        self,
        exception: BaseException,
        attributes: Attributes = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        self._details().record_exception(exception, attributes, timestamp, escaped)
