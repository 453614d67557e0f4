"""Redis away, slow, refusing, or holding what nobody can read: requests go on, and what was fetched is stored again."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cached_shop import Process, Product, Shop, counts, entries, written
from paceline.local.valkey import valkey
from paceline.resources.cache.redis import RETRY_SECONDS
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


async def test_no_request_fails_while_redis_is_away_and_it_is_used_again_afterwards(
    process: Process, shop: Shop, tmp_path: Path, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with valkey(tmp_path) as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    load, tunables = process(client)
    began = monotonic()
    responses = await asyncio.gather(*(load(page) for page in range(20)))
    assert responses[7] == [Product("page 7, fetch 8")]
    assert counts(tunables) == (0, 20, 0)
    assert "cache products: Redis get failed, going on without it" in caplog.text
    await asyncio.gather(*(load(page) for page in range(100, 120)))
    if monotonic() - began < RETRY_SECONDS:
        assert len(caplog.records) <= 20, "left alone for a second after a failure"
    with valkey(tmp_path, port=port):

        async def used_again() -> bool:
            await load.forget(1)
            await load(1)
            return bool(await entries(client))

        await eventually(used_again, "an entry in Redis")
        await client.aclose()


async def test_a_slow_redis_holds_a_request_up_for_a_quarter_of_a_second_at_most(
    client: Redis, process: Process, shop: Shop
) -> None:
    await client.client_pause(5000)
    try:
        load, _ = process(client)
        async with asyncio.timeout(4):  # the pause ends after five seconds
            assert await load(1) == [Product("page 1, fetch 1")]
            assert await load(2) == [Product("page 2, fetch 2")]
    finally:
        await client.client_unpause()


async def stored(client: Redis, eventually: Any) -> bytes:
    await written(client, eventually)
    (key,) = await entries(client)
    return key


@pytest.mark.parametrize("content", [b"rubbish", b"", b"\x02rubbish", b"\x01" + bytes(40), b"\x02" + bytes(60)])
async def test_what_cannot_be_read_is_a_miss_and_overwritten_and_redis_is_not_left_alone(
    client: Redis, process: Process, eventually: Any, content: bytes
) -> None:
    load, _ = process(client)
    await load(1)
    key = await stored(client, eventually)
    version = await client.get(key.rpartition(b":")[0] + b":version")
    if len(content) > 60:  # the right version, and a value that nobody understands
        content = b"\x02" + version + bytes(16) + b"no JSON"
    await client.set(key, content)
    load, tunables = process(client)
    assert await load(1) == [Product("page 1, fetch 2")]
    assert counts(tunables) == (0, 1, 0)

    async def overwritten() -> bool:
        return await client.get(key) != content

    await eventually(overwritten, "the entry overwritten")
    third, tunables = process(client)
    assert await third(1) == [Product("page 1, fetch 2")]
    assert counts(tunables) == (1, 0, 0)


async def test_a_key_of_another_type_is_overwritten_too(client: Redis, process: Process, eventually: Any) -> None:
    load, _ = process(client)
    await load(1)
    key = await stored(client, eventually)
    for name in (key, key.rpartition(b":")[0] + b":version"):
        await client.delete(name)
        await client.lpush(name, b"x")
    load, _ = process(client)
    await load(1)

    async def overwritten() -> bool:
        return await client.type(key) == b"string"

    await eventually(overwritten, "the entry overwritten")


async def test_a_client_that_decodes_is_named_in_the_log(
    valkey_url: str, client: Redis, process: Process, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async with Redis.from_url(valkey_url, decode_responses=True) as decoding:
        load, _ = process(decoding)
        assert await load(1) == [Product("page 1, fetch 1")]
    assert "without decode_responses" in caplog.text


async def test_a_server_that_refuses_writes_is_read_all_the_same(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    load, _ = process(client)
    await load(1)
    await written(client, eventually)
    await client.config_set("maxmemory", "1")
    try:
        other, tunables = process(client)
        await asyncio.gather(*(other(page) for page in range(1, 20)))
        assert await other(1) == [Product("page 1, fetch 1")]
    finally:
        await client.config_set("maxmemory", "0")
    assert counts(tunables)[0] == 2
