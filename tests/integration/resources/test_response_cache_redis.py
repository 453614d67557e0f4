"""Cached responses that processes share through a real Valkey."""

import asyncio
from typing import Any

import pytest
from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.resources.registry import Tunables
from redis.asyncio import Redis

Headers = dict[bytes, bytes]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def process(client: Redis, clock: Clock, calls: list[int], **options: Any) -> ResponseCacheMiddleware:
    """The middleware as each process has it: with memory of its own."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(1)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-text", b"\xe4")]})
        await send({"type": "http.response.body", "body": b"\x00\n\xff"})

    route = CachedRoute(name="shared", ttl=60, max_staleness=60, **options)
    return ResponseCacheMiddleware(app, routes={"/data": route}, redis=client, tunables=Tunables(), clock=clock)


async def ask(app: ResponseCacheMiddleware) -> tuple[Headers, bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nobody sends a body")

    await app({"type": "http", "method": "GET", "path": "/data", "query_string": b"", "headers": []}, receive, send)
    return dict(sent[0]["headers"]), sent[1]["body"]


async def stored(client: Redis) -> None:
    async with asyncio.timeout(30):
        while not [key async for key in client.scan_iter("paceline:*shared:*")]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_the_age_of_a_response_from_redis_is_true(valkey_url: str) -> None:
    clock, calls = Clock(), []
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        first = await ask(process(client, clock, calls))
        await stored(client)
        clock.now += 25
        second = await ask(process(client, clock, calls))
        clock.now += 5
        third = await ask(process(client, clock, calls))
    assert [headers[b"age"] for headers, _ in (first, second, third)] == [b"0", b"25", b"30"]
    assert second[0][b"cache-status"] == b"paceline; hit; ttl=35"
    assert (second[1], second[0][b"x-text"]) == (b"\x00\n\xff", b"\xe4")
    assert len(calls) == 1


async def test_a_release_that_shows_its_route_more_does_not_use_older_responses(valkey_url: str) -> None:
    clock, calls = Clock(), []
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        await ask(process(client, clock, calls))
        await stored(client)
        await ask(process(client, clock, calls, headers=("accept-language",)))
    assert len(calls) == 2


@pytest.mark.parametrize("whole", [True, False], ids=["whole entry", "response in it"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04K\x01.",
        b"null\n",
        b"[]\nbody",
        b'{"createdAt":1000000.0}\nbody',
        b'{"createdAt":"soon","headers":[]}\nbody',
        b'{"createdAt":1e999,"headers":[]}\nbody',
        b'{"createdAt":1000000.0,"headers":[["x-text"]]}\nbody',
        b'{"createdAt":1000000.0,"headers":[["x-text",7]]}\nbody',
        b'{"createdAt":1000000.0,"headers":[["\xe2\x82\xac","b"]]}\nbody',
        b'{"createdAt":1000000.0,"headers":{"x-text":"a"}}\nbody',
        b"[" * 100_000,
    ],
)
async def test_an_entry_of_an_unknown_form_is_a_miss_that_is_overwritten(
    valkey_url: str, content: bytes, whole: bool
) -> None:
    clock, calls = Clock(), []
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        await ask(process(client, clock, calls))
        await stored(client)
        entries = {key: await client.get(key) async for key in client.scan_iter("paceline:*shared:*")}
        [(key, good)] = [(key, entry) for key, entry in entries.items() if entry and b"createdAt" in entry]
        begin, found, _ = good.partition(b'{"createdAt"')
        assert found
        await client.set(key, content if whole else begin + content, keepttl=True)
        after = process(client, clock, calls)
        assert (await ask(after))[1] == b"\x00\n\xff"
        assert len(calls) == 2, "a miss"
        async with asyncio.timeout(30):  # overwritten, so Redis was not given up
            while not (await client.get(key) or b"").endswith(good[len(begin) :]):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        clock.now += 1
        assert (await ask(process(client, clock, calls)))[0][b"cache-status"].startswith(b"paceline; hit")
    assert len(calls) == 2
