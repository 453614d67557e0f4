"""What an application writes to the current span of a drawn request is exported with it."""

from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.trace import SpanContext, Status, StatusCode
from paceline.middleware import instrument
from paceline.settings import MiddlewareSettings
from paceline.telemetry.requests import RequestStats

Write = Callable[[trace.Span], Any]


async def exported(traced: Callable[..., Any], write: Write, status: int = 200) -> Any:
    """The span of a drawn request whose handler calls `write` with the current span."""
    made = traced(draw=lambda: 0.0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        write(trace.get_current_span())
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def nowhere(message: Any) -> None:
        pass

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    app_measured = instrument(
        app, MiddlewareSettings(), requests=RequestStats(), tracing=made.tracing, generation=lambda: 17
    )
    await app_measured(scope, None, nowhere)  # type: ignore[arg-type]
    [span] = made.spans()
    return span


async def test_attributes_are_added_to_ours(traced: Any) -> None:
    def write(span: trace.Span) -> None:
        span.set_attribute("shop.customer", "gold")
        span.set_attributes({"shop.items": 3, "shop.tags": ["a", "b"]})

    attributes = (await exported(traced, write)).attributes
    assert (attributes["shop.customer"], attributes["shop.items"], attributes["shop.tags"]) == ("gold", 3, ("a", "b"))
    assert (attributes["http.request.method"], attributes["paceline.generation"]) == ("GET", 17)


async def test_the_sdks_limits_hold(traced: Any) -> None:
    def write(span: trace.Span) -> None:
        for number in range(1000):
            span.set_attribute(f"n{number}", number)

    assert len((await exported(traced, write)).attributes) < 150


async def test_events_links_and_exceptions(traced: Any) -> None:
    other = SpanContext(1, 2, is_remote=True)

    def write(span: trace.Span) -> None:
        span.add_event("retry", {"n": 1})
        span.add_link(other)
        span.record_exception(ValueError("bad"))

    span = await exported(traced, write)
    assert [event.name for event in span.events] == ["retry", "exception"]
    assert [link.context for link in span.links] == [other]


async def test_a_name_of_the_applications_choice_stays(traced: Any) -> None:
    assert (await exported(traced, lambda span: span.update_name("checkout"))).name == "checkout"


@pytest.mark.parametrize(
    ("status", "code"),
    [
        pytest.param(200, StatusCode.OK, id="the application's word"),
        pytest.param(503, StatusCode.ERROR, id="unless the request failed"),
    ],
)
async def test_the_status(status: int, code: StatusCode, traced: Any) -> None:
    span = await exported(traced, lambda span: span.set_status(Status(StatusCode.OK)), status)
    assert span.status.status_code is code


async def test_the_application_cannot_end_it(traced: Any) -> None:
    def write(span: trace.Span) -> None:
        span.end()
        assert span.is_recording()
        with trace.use_span(span, end_on_exit=True):
            pass

    assert (await exported(traced, write)).attributes["http.response.status_code"] == 200
