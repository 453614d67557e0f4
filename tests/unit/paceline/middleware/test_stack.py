"""The layers that are off unless asked for, and which of them stand in front."""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from paceline.asgi import ASGIApp
from paceline.middleware import (
    ProcessTimeMiddleware,
    RequestIdMiddleware,
    ResponseCacheMiddleware,
    SecurityHeadersMiddleware,
    TrustedProxiesMiddleware,
    instrument,
)
from paceline.settings import MiddlewareSettings, TelemetrySettings
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing
from paceline.trusted_peers import TrustedPeers
from uvicorn.config import Config

Headers = list[tuple[bytes, bytes]]
PLAIN: Headers = [(b"content-type", b"text/plain")]


class Hello:
    """Answers with the headers it was given; remembers the scope."""

    def __init__(self, *headers: tuple[bytes, bytes]) -> None:
        self.headers = [*PLAIN, *headers]
        self.scope: dict[str, Any] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scope = scope
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": b"hello"})


async def headers_of(app: ASGIApp, *headers: tuple[bytes, bytes], **more: Any) -> Headers:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "scheme": "http", "headers": list(headers), **more}
    await app(scope, None, send)  # type: ignore[arg-type]
    assert sent[1:] == [{"type": "http.response.body", "body": b"hello"}]
    return list(sent[0]["headers"])


async def test_an_id_is_made_and_told() -> None:
    hello = Hello()
    [_, (name, first)] = await headers_of(RequestIdMiddleware(hello))
    assert name == b"x-request-id"
    assert re.fullmatch(rb"[0-9a-f]{32}", first)
    assert hello.scope["state"] == {"request_id": first.decode()}
    [_, (_, second)] = await headers_of(RequestIdMiddleware(hello))
    assert second != first
    assert hello.headers == PLAIN, "what the application sent is its own"


@pytest.mark.parametrize("given", [b"", b"a b", b"x" * 65, b'a"b', b"\xe4", b"a\n"])
async def test_an_id_that_could_harm_a_log_is_replaced(given: bytes) -> None:
    trusted = {"paceline.trusted_peer": True}
    [_, (_, answered)] = await headers_of(RequestIdMiddleware(Hello()), (b"x-request-id", given), **trusted)
    assert re.fullmatch(rb"[0-9a-f]{32}", answered)


@pytest.mark.parametrize("trusted", [True, False])
async def test_an_id_counts_from_a_trusted_peer(trusted: bool) -> None:
    scope = {"paceline.trusted_peer": True} if trusted else {}
    [_, (_, answered)] = await headers_of(RequestIdMiddleware(Hello()), (b"x-request-id", b"checkout-17.a_B"), **scope)
    assert (answered == b"checkout-17.a_B") is trusted


async def test_one_id_is_enough() -> None:
    assert len(await headers_of(RequestIdMiddleware(RequestIdMiddleware(Hello())))) == 2
    own = (b"X-Request-Id", b"theirs")
    assert await headers_of(RequestIdMiddleware(Hello(own))) == [*PLAIN, own]


async def test_the_time_until_the_response_is_told() -> None:
    ticks = iter([5.0, 5.0125])
    answered = await headers_of(ProcessTimeMiddleware(Hello(), clock=lambda: next(ticks)))
    assert answered == [*PLAIN, (b"x-process-time", b"0.012500"), (b"server-timing", b"app;dur=12.500")]


async def test_security_headers_fill_what_is_missing() -> None:
    own = (b"X-Frame-Options", b"SAMEORIGIN")
    answered = await headers_of(SecurityHeadersMiddleware(Hello(own)))
    assert answered == [*PLAIN, own, (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer")]
    over_tls = dict(await headers_of(SecurityHeadersMiddleware(Hello()), scheme="https"))
    assert over_tls[b"strict-transport-security"] == b"max-age=31536000"


@pytest.mark.parametrize("layer", [RequestIdMiddleware, ProcessTimeMiddleware, SecurityHeadersMiddleware])
@pytest.mark.parametrize("kind", ["lifespan", "websocket"])
async def test_other_scopes_reach_the_application_as_they_are(layer: Callable[[ASGIApp], ASGIApp], kind: str) -> None:
    seen: list[Any] = []

    async def app(*given: Any) -> None:
        seen.append(given)

    await layer(app)({"type": kind}, asyncio.sleep, asyncio.sleep)
    assert seen == [({"type": kind}, asyncio.sleep, asyncio.sleep)]


@pytest.mark.parametrize(
    "wrap",
    [
        ProcessTimeMiddleware,
        RequestIdMiddleware,
        SecurityHeadersMiddleware,
        partial(ResponseCacheMiddleware, routes={}),
        partial(TrustedProxiesMiddleware, trusted=TrustedPeers("")),
        lambda app: instrumented(app),
    ],
)
def test_uvicorn_sees_that_the_outermost_is_an_application_of_asgi_3(wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    config = Config(wrap(Hello()), log_config=None)
    config.load()
    assert config.interface == "asgi3"


def instrumented(app: ASGIApp, **settings: Any) -> ASGIApp:
    tracing = Tracing(TelemetrySettings())
    return instrument(
        app, MiddlewareSettings(**settings), requests=RequestStats(), tracing=tracing, generation=lambda: 1
    )


async def test_nothing_that_nobody_asked_for_is_in_a_response() -> None:
    assert await headers_of(instrumented(Hello()), (b"x-request-id", b"7"), client=("127.0.0.1", 9)) == PLAIN


async def test_all_of_them_together() -> None:
    app = instrumented(Hello(), request_id=True, process_time=True, security_headers=True)
    came = ((b"x-request-id", b"7"), (b"x-forwarded-for", b"9.9.9.9"), (b"x-forwarded-proto", b"https"))
    answered = dict(await headers_of(app, *came, client=("127.0.0.1", 9)))
    assert answered[b"x-request-id"] == b"7"
    assert answered.keys() >= {b"x-process-time", b"strict-transport-security", b"content-type"}
    stranger = dict(await headers_of(app, *came, client=("9.9.9.9", 9)))
    assert stranger[b"x-request-id"] != b"7"
    assert b"strict-transport-security" not in stranger
