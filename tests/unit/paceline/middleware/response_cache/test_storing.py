"""Which responses are cached, and when."""

import asyncio
import logging
import re
import tracemalloc
from typing import Any

import pytest
from cached_site import MINE, Got, Respond, Site, headers_of, nothing

pytestmark = pytest.mark.invariant


async def test_the_age_goes_on_from_that_of_a_cache_behind_the_route() -> None:
    site = Site(lambda _: (200, [(b"age", b"100")], b"of another service"))
    assert [(await site.get()).headers[b"age"] for _ in range(2)] == [b"100", b"100"]
    site = Site(lambda _: (200, [(b"age", b"soon")], b"nonsense"))
    assert [(await site.get()).headers[b"age"] for _ in range(2)] == [b"0", b"0"]


async def test_an_expiry_to_come_is_no_obstacle() -> None:
    site = Site(lambda _: (200, [(b"expires", b"Thu, 01 Jan 2099 00:00:00 GMT")], b"body"))
    await site.get()
    assert (await site.get()).hit


@pytest.mark.parametrize(
    "header",
    [
        (b"cache-control", b"max-age=0"),
        (b"cache-control", b"s-maxage=0, max-age=60"),
        (b"Cache-Control", b'public, no-cache="x"'),
        (b"cache-control", b"max-age=soon"),
        (b"expires", b"0"),
        (b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"expires", b"never"),
        (b"content-security-policy", b"script-src 'nonce-r4nd0m'"),
        (b"pragma", b"no-cache"),
        (b"vary", b"x-anything"),
        (b"content-type", b"text/event-stream"),
        (b"content-length", b"3"),
        (b"content-range", b"bytes 0-1/4"),
    ],
)
async def test_what_must_not_be_used_again_is_not(header: tuple[bytes, bytes]) -> None:
    site = Site(lambda _: (200, [header], b"body"))
    assert not any([(await site.get()).hit for _ in range(3)])


@pytest.mark.parametrize("name", [b"cookie", b"authorization", b"accept-encoding", b"origin"])
async def test_a_response_may_vary_by_what_no_cached_response_is_for(name: bytes) -> None:
    site = Site(lambda _: (200, [(b"vary", name)], b"body"))
    await site.get()
    assert (await site.get()).hit


@pytest.mark.parametrize("name", [b"if-match", b"if-unmodified-since", b"content-length", b"transfer-encoding"])
async def test_conditions_and_bodies_bypass(name: bytes) -> None:
    site = Site(headers_of)
    await site.get()
    assert (await site.get([(name, b"1")])).body == name + b"=1"


async def test_no_store_of_a_request_bypasses_and_its_other_wishes_do_not() -> None:
    site = Site(headers_of)
    await site.get()
    for wish in (b"no-cache", b"max-age=0", b"only-if-cached"):
        assert (await site.get([(b"cache-control", wish)])).hit
    assert not (await site.get([(b"cache-control", b"max-age=0, No-Store")])).hit


class Cors:
    """As Starlette's: allows some origins by name, tells the others nothing."""

    def __init__(self, app: Any, allowed: frozenset[bytes], varies: bool) -> None:
        self.app, self.allowed, self.varies = app, allowed, varies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        origin = dict(scope["headers"]).get(b"origin")

        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                allowed = [(b"access-control-allow-origin", origin)] if origin in self.allowed else []
                vary = [(b"vary", b"Origin")] if allowed or self.varies else []
                message = {**message, "headers": [*message["headers"], *allowed, *vary]}
            await send(message)

        await self.app(scope, receive, add)


@pytest.mark.parametrize("varies", [True, False])
@pytest.mark.parametrize("behind", [True, False])
async def test_cors_in_front_and_behind(behind: bool, varies: bool) -> None:
    site = Site(lambda _: (200, [], b"body"))
    allowed = frozenset({b"https://a.example", b"https://b.example"})
    if behind:
        site.app._app = Cors(site.app._app, allowed, varies)
    else:
        site.app = Cors(site.app, allowed, varies)  # type: ignore[assignment]
    origins = [b"https://a.example", b"https://b.example", b"https://evil.example", None]
    for origin in origins * 3:
        got = await site.get([*MINE, *([(b"origin", origin)] if origin else [])])
        assert (got.status, got.body) == (200, b"body")
        assert got.headers.get(b"access-control-allow-origin") == (origin if origin in allowed else None)
    assert got.hit
    assert site.calls <= 2 * len(origins)


async def test_made_up_origins_fill_nothing() -> None:
    site = Site(lambda scope: (200, [(b"vary", b"origin")], dict(scope["headers"]).get(b"origin", b"")))
    for number in range(100):
        origin = b"https://%d.example" % number
        assert (await site.get([*MINE, (b"origin", origin)])).body == origin
    assert len(site.app._served["/data"].cache._entries) == 64


async def test_long_names_and_origins_are_not_remembered() -> None:
    site = Site(lambda _: (200, [], b"body"))
    long = b"a" * 60_000
    await site.get()
    tracemalloc.start()
    try:
        for number in range(100):
            assert (await site.get([*MINE, (b"x-%d" % number + long, b"1")])).hit
            assert (await site.get([*MINE, (b"origin", b"https://%d" % number + long)])).body == b"body"
        assert tracemalloc.get_traced_memory()[0] < 3_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/etc/hostname"},
        {"type": "http.response.zerocopysend", "file": 1},
        {"type": "http.response.start", "status": 200, "headers": []},
    ],
)
async def test_odd_messages_are_not_recorded(message: dict[str, Any]) -> None:
    site = Site()

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        site.calls += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(message)
        await send({"type": "http.response.body", "body": b"x"})

    site.app._app = odd
    await site.get()
    await site.get()
    assert site.calls == 3  # asked on behalf of all once, then each by itself


async def test_an_endless_stream_reaches_its_client() -> None:
    site = Site()
    arrived = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while True:
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await asyncio.sleep(0)

    class Reader(Got):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if self.body:
                arrived.set()

    site.app._app = stream
    reader = Reader()
    scope = {"type": "http", "method": "GET", "path": "/data", "query_string": b"", "headers": []}
    task = asyncio.create_task(site.app(scope, nothing, reader.send))
    async with asyncio.timeout(10):
        await arrived.wait()
    task.cancel()


async def test_background_work_comes_after_the_response_and_delays_only_its_own_request() -> None:
    site, done, begun = Site(), asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"now"})
        begun.set()
        await done.wait()
        raise LookupError("in the background")

    site.app._app = app
    first = Got()
    scope = {"type": "http", "method": "GET", "path": "/data", "query_string": b"", "headers": []}
    task = asyncio.create_task(site.app(scope, nothing, first.send))
    async with asyncio.timeout(10):
        await begun.wait()
        assert (await site.get(headers=[])).body == b"now"  # while the first still works
    assert first.body == b"now"
    assert not task.done()
    done.set()
    with pytest.raises(LookupError):
        await task
    assert (await site.get(headers=[])).hit


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (lambda _: (200, [(b"set-cookie", b"a=b")], b""), "it sets a cookie"),
        (lambda _: (200, [(b"vary", b"*")], b""), "it varies by \\*"),
        (lambda _: (404, [], b""), "its status is 404"),
        (
            lambda scope: (200, [], dict(scope["headers"])[b"host"]),
            "it contains the Host of its request; pass .* host=",
        ),
        (lambda _: (200, [], b"x" * 1_048_577), "it is longer than 1048576 bytes"),
    ],
)
async def test_a_route_that_is_never_cached_says_why_once(
    respond: Respond, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(respond)
    with caplog.at_level(logging.WARNING, "paceline"):
        for _ in range(5):
            await site.get()
    [record] = caplog.records
    assert record.getMessage().startswith("/data: no response is cached so far: ")
    assert re.search(reason, record.getMessage())
