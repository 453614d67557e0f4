"""Which requests get a span, and what it says."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry import metrics, propagate, trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from paceline.middleware import instrument
from paceline.settings import MiddlewareSettings, OpenTelemetrySettings, Settings, TelemetrySettings
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

Make = Callable[..., Any]

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PROXY = ("127.0.0.1", 40000)
STRANGER = ("203.0.113.9", 40000)


def drawn() -> float:
    return 0.0


class Route:
    path = "/products/{id}"


async def answer(scope: Any, receive: Any, send: Any, status: int = 200) -> None:
    scope["route"] = Route()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def unavailable(scope: Any, receive: Any, send: Any) -> None:
    await answer(scope, receive, send, 503)


async def raising(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError("password=hunter2")


async def slow(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(0.02)
    await answer(scope, receive, send)


async def call(traced: Any, app: Any = answer, *, header: str | None = None, client: Any = PROXY, **more: Any) -> None:
    headers = [(b"host", b"shop"), *more.pop("headers", [])]
    if header is not None:
        headers.append((b"traceparent", header.encode("latin-1")))
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/products/7",
        "query_string": b"token=hunter2",
        "scheme": "http",
        "server": ("10.0.0.9", 8000),
        "client": client,
        "headers": headers,
        **more,
    }

    async def send(message: Any) -> None:
        pass

    tracing = traced.tracing if hasattr(traced, "tracing") else traced
    await instrument(app, MiddlewareSettings(), requests=RequestStats(), tracing=tracing, generation=lambda: 17)(
        scope, None, send
    )  # type: ignore[arg-type]


def one(traced: Any) -> ReadableSpan:
    [span] = traced.spans()
    assert isinstance(span, ReadableSpan)
    return span


async def test_a_drawn_request_is_one_server_span(traced: Make) -> None:
    made = traced(draw=drawn)
    before = time.time_ns()
    await call(made)
    span = one(made)
    assert (span.name, span.kind, span.parent) == ("GET /products/{id}", SpanKind.SERVER, None)
    assert dict(span.attributes or {}) == {
        "http.request.method": "GET",
        "http.route": "/products/{id}",
        "url.path": "/products/7",
        "url.scheme": "http",
        "server.address": "10.0.0.9",
        "server.port": 8000,
        "http.response.status_code": 200,
        "paceline.generation": 17,
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert before <= span.start_time <= span.end_time <= time.time_ns()


async def test_a_request_that_is_not_drawn_leaves_nothing(traced: Make) -> None:
    made = traced()
    seen = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.append(trace.get_current_span())
        await answer(scope, receive, send)

    await call(made, look)
    assert seen == [trace.INVALID_SPAN]
    assert made.spans() == []


async def test_about_the_share_asked_for_is_drawn(traced: Make) -> None:
    made = traced(draw=random.Random(5).random, ratio=0.05)
    for _ in range(2000):
        await call(made)
    assert 70 <= len(made.spans()) <= 130


@pytest.mark.parametrize(
    ("app", "status", "error"),
    [
        pytest.param(unavailable, 503, "503", id="answered with 5xx"),
        pytest.param(raising, None, "LookupError", id="ended by an exception"),
    ],
)
@pytest.mark.parametrize("is_drawn", [True, False])
async def test_a_failed_request_is_exported_drawn_or_not(
    app: Any, status: int | None, error: str, is_drawn: bool, traced: Make
) -> None:
    made = traced(draw=lambda: 0.0 if is_drawn else 1.0)
    try:
        await call(made, app)
    except LookupError:
        assert app is raising
    span = one(made)
    assert span.attributes is not None
    assert span.attributes.get("http.response.status_code") == status
    assert span.attributes["error.type"] == error
    assert span.attributes["paceline.outcome"] == "failed"
    assert span.attributes.get("paceline.sampled") is (None if is_drawn else False)
    assert span.attributes["paceline.generation"] == 17
    assert span.status.status_code is StatusCode.ERROR
    assert "hunter2" not in span.to_json(), "neither query nor exception message reach a span"


async def test_a_slow_request_that_was_not_drawn_is_exported_with_its_true_times(traced: Make) -> None:
    made = traced(slow=0.01)
    before = time.time_ns()
    await call(made, slow)
    after = time.time_ns()
    span = one(made)
    assert (span.name, span.kind) == ("GET /products/{id}", SpanKind.SERVER)
    assert span.attributes is not None
    assert span.attributes["paceline.sampled"] is False
    assert span.attributes["paceline.outcome"] == "slow"
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert before - 1_000_000 <= span.start_time
    assert span.end_time <= after + 1_000_000
    assert span.end_time - span.start_time >= 20_000_000


async def test_a_fast_request_is_not_slow(traced: Make) -> None:
    made = traced(slow=10.0)
    await call(made, slow)
    assert made.spans() == []


async def test_a_slow_stream_is_one_that_begins_late(traced: Make) -> None:
    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        await asyncio.sleep(0.55)
        await send({"type": "http.response.body", "body": b"last"})

    fast = traced(slow=0.5)
    await call(fast, stream)
    assert fast.spans() == []
    drawn_one = traced(draw=drawn)
    await call(drawn_one, stream)
    span = one(drawn_one)
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time >= 550_000_000, "its span lasts until the last byte"


async def test_spans_of_the_application_are_children_of_a_drawn_request(traced: Make) -> None:
    made = traced(draw=drawn)

    async def querying(scope: Any, receive: Any, send: Any) -> None:
        trace.get_current_span().set_attribute("shop.customer", "gold")
        with trace.get_tracer("shop").start_as_current_span("query"):
            pass
        await answer(scope, receive, send)

    await call(made, querying)
    query, server = made.spans()
    assert (query.name, server.name) == ("query", "GET /products/{id}")
    assert query.parent is not None
    assert query.parent.span_id == server.context.span_id
    assert query.context.trace_id == server.context.trace_id
    assert server.attributes["shop.customer"] == "gold"
    assert trace.get_current_span() is trace.INVALID_SPAN, "the context ends with the request"


async def test_spans_in_a_request_that_is_not_drawn_go_nowhere(traced: Make) -> None:
    made = traced(draw=iter([0.0, 1.0]).__next__)
    await call(made)  # from here on the provider is set

    async def querying(scope: Any, receive: Any, send: Any) -> None:
        with trace.get_tracer("shop").start_as_current_span("query"):
            pass
        await answer(scope, receive, send)

    await call(made, querying)
    assert [span.name for span in made.spans()] == ["GET /products/{id}"]


@pytest.mark.parametrize(
    ("flags", "client", "draw", "exported"),
    [
        pytest.param("01", PROXY, 1.0, True, id="a trusted proxy samples: we do"),
        pytest.param("00", PROXY, 0.0, False, id="a trusted proxy does not: neither do we"),
        pytest.param("01", STRANGER, 1.0, False, id="a stranger samples: our draw decides, against"),
        pytest.param("00", STRANGER, 0.0, True, id="a stranger does not: our draw decides, for"),
        pytest.param("01", None, 1.0, False, id="an unknown peer is a stranger"),
    ],
)
async def test_whose_word_counts(flags: str, client: Any, draw: float, exported: bool, traced: Make) -> None:
    made = traced(draw=lambda: draw)
    await call(made, header=f"00-{TRACE}-{SPAN}-{flags}", client=client)
    spans = made.spans()
    assert len(spans) == exported
    for span in spans:
        assert span.context.trace_id == int(TRACE, 16)
        assert (span.parent.span_id, span.parent.is_remote) == (int(SPAN, 16), True)
        assert "paceline.sampled" not in span.attributes


@pytest.mark.parametrize("flags", ["00", "01"])
async def test_a_callers_trace_goes_on_in_outgoing_calls(flags: str, traced: Make) -> None:
    made = traced(slow=0.0001)
    outgoing: dict[str, str] = {}

    async def calling(scope: Any, receive: Any, send: Any) -> None:
        propagate.inject(outgoing)
        await slow(scope, receive, send)

    await call(
        made, calling, header=f"00-{TRACE}-{SPAN}-{flags}", headers=[(b"tracestate", b"vendor=1"), (b"x", b"\xff")]
    )
    span = one(made)
    _, trace_id, span_id, sent_flags = outgoing["traceparent"].split("-")
    assert (trace_id, span_id) == (TRACE, format(span.context.span_id, "016x")), "slow, so exported either way"
    assert int(sent_flags, 16) & 1 == int(flags)
    assert outgoing["tracestate"] == "vendor=1"
    assert span.parent is not None
    assert span.parent.span_id == int(SPAN, 16)
    assert trace.get_current_span() is trace.INVALID_SPAN


@pytest.mark.parametrize(
    ("header", "state"),
    [
        pytest.param("", b"", id="empty"),
        pytest.param("00-zz-01", b"vendor", id="neither is what it should be"),
        pytest.param(f"00-{TRACE}-{SPAN}-01", b"\xff\x00=,,,=", id="a tracestate of rubbish"),
        pytest.param("\xff" * 4000, b"v=1," * 4000, id="long"),
    ],
)
@pytest.mark.parametrize("client", [PROXY, STRANGER])
async def test_no_header_makes_a_request_fail(header: str, state: bytes, client: Any, traced: Make) -> None:
    made = traced(draw=drawn)
    await call(made, header=header, client=client, headers=[(b"tracestate", state)])
    assert len(made.spans()) == 1


async def test_an_unknown_route_is_named_by_its_method(traced: Make) -> None:
    made = traced(draw=drawn)

    async def missing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 404, "headers": []})

    await call(made, missing)
    assert one(made).name == "GET"


async def test_a_provider_of_the_application_is_extended(traced: Make) -> None:
    theirs = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(theirs))
    made = traced(draw=drawn)  # the worker makes it first, the application sets its provider while it starts
    trace.set_tracer_provider(provider)
    await call(made)
    assert trace.get_tracer_provider() is provider
    assert [span.name for span in theirs.get_finished_spans()] == ["GET /products/{id}"]
    assert one(made).resource is provider.resource


async def test_without_a_provider_of_its_own_the_application_gets_ours(traced: Make) -> None:
    made = traced(draw=drawn, serve={"pod_name": "api-7", "pod_uid": "0a1b", "service_version": "1.2"})
    await call(made)
    resource = trace.get_tracer_provider().resource.attributes  # type: ignore[attr-defined]
    assert resource["service.name"] == "paceline-service"
    assert resource["service.instance.id"] == "0a1b-7"
    assert (resource["k8s.pod.name"], resource["k8s.pod.uid"]) == ("api-7", "0a1b")
    assert resource["service.version"] == "1.2"


def test_resource_attributes_of_the_environment_win(traced: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test,service.instance.id=mine")
    resource = traced().pipeline.resource.attributes
    assert resource["service.name"] == "shop"
    assert resource["service.instance.id"] == "mine"
    assert resource["deployment.environment.name"] == "test"
    assert resource["k8s.pod.name"] == "local"


def test_config_applied_is_linked_to_the_operators_trace(traced: Make) -> None:
    made = traced()
    made.tracing.config_applied(
        generation=17,
        policy="shop/api",
        old={"workers": 1, "pools": {"postgres": 5}, "caches": {"responses": {"ttlSeconds": 60.0}}},
        new={"workers": 4, "pools": {"postgres": 8}, "caches": {}},
        traceparent=f"00-{TRACE}-{SPAN}-01",
        seconds=0.5,
    )
    span = one(made)
    assert (span.name, span.parent) == ("config.applied", None)
    assert dict(span.attributes or {}) == {
        "paceline.generation": 17,
        "paceline.policy": "shop/api",
        "paceline.old.workers": 1,
        "paceline.old.pools.postgres": 5,
        "paceline.old.caches.responses.ttlSeconds": 60.0,
        "paceline.new.workers": 4,
        "paceline.new.pools.postgres": 8,
    }
    [link] = span.links
    assert (link.context.trace_id, link.context.span_id) == (int(TRACE, 16), int(SPAN, 16))
    assert span.context.trace_id != int(TRACE, 16), "linked, not a child"
    assert span.end_time is not None
    assert span.start_time is not None
    assert span.end_time - span.start_time == 500_000_000


@pytest.mark.parametrize("traceparent", [None, "", "rubbish"])
def test_config_applied_needs_no_trace_of_the_operator(traceparent: str | None, traced: Make) -> None:
    made = traced()
    made.tracing.config_applied(generation=1, policy="shop/api", old={}, new={"workers": 2}, traceparent=traceparent)
    assert one(made).links == ()


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({}, id="no endpoint"),
        pytest.param({"exporter_otlp_endpoint": "http://c:4318", "sdk_disabled": True}, id="OTEL_SDK_DISABLED"),
        pytest.param({"exporter_otlp_endpoint": "http://c:4318", "traces_exporter": "none"}, id="no exporter"),
    ],
)
async def test_without_an_exporter_nothing_is_traced(variables: dict[str, Any]) -> None:
    tracing = Tracing.from_settings(
        Settings(telemetry=TelemetrySettings(ratio=1.0), opentelemetry=OpenTelemetrySettings(**variables))
    )
    assert not tracing.enabled
    await call(tracing)
    tracing.config_applied(generation=1, policy="shop/api", old={}, new={}, traceparent=None)
    tracing.shutdown()
    assert (tracing.exported, tracing.dropped) == (0, 0)


async def test_frameworks_do_not_trace_the_same_request_again(traced: Make) -> None:
    made = traced(draw=drawn)
    seen = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.append("fastapi.telemetry" in scope)
        await answer(scope, receive, send)

    await call(made, look)
    assert seen == [True]


async def test_frameworks_are_left_alone_where_the_application_has_meters(
    traced: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "get_meter_provider", NoOpMeterProvider)
    made = traced(draw=drawn)
    seen = []

    async def look(scope: Any, receive: Any, send: Any) -> None:
        seen.append("fastapi.telemetry" in scope)
        await answer(scope, receive, send)

    await call(made, look)
    assert seen == [False]
