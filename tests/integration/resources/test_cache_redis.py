"""The tier that processes share, in a real Valkey: two registries stand for two processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from paceline import tune
from paceline.document.model import CacheValues, Values
from paceline.local.valkey import valkey
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.redis import RETRY_SECONDS, RedisTier
from paceline.resources.cache.serializers import Json
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


@dataclass
class Product:
    name: str


class Shop:
    def __init__(self) -> None:
        self.fetches = 0
        self.broken = False


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
def shop() -> Shop:
    return Shop()


Process = Callable[..., tuple[tune.Cached[[int], list[Product]], tune.Tunables]]


@pytest.fixture
def process(shop: Shop) -> Process:
    """Defines the cached function as each process does: with memory of its own."""

    def start(client: Any, **options: Any) -> tuple[tune.Cached[[int], list[Product]], tune.Tunables]:
        tunables = tune.Tunables()
        tunables.cache_redis = client
        options = {"ttl": 60, "key": "products:{page}", **options}

        @tune.cache(name="products", tunables=tunables, **options)
        async def load(page: int) -> list[Product]:
            shop.fetches += 1
            if shop.broken:
                raise ConnectionError("the shop is closed")
            return [Product(f"page {page}, fetch {shop.fetches}")]

        return load, tunables

    return start


def counts(tunables: tune.Tunables) -> tuple[int, int, int]:
    report = tunables.report()["caches"]["products"]
    return report["hits"], report["misses"], report["staleHits"]


async def written(client: Redis, eventually: Any) -> None:
    async def is_there() -> bool:
        return bool(await client.exists("paceline:products:products:1"))

    await eventually(is_there, "an entry in Redis")


def ttl(tunables: tune.Tunables, seconds: float) -> None:
    assert tunables.apply(Values(caches={"products": CacheValues(seconds)})) == []


async def test_what_one_process_fetched_the_other_reads_with_its_age(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    one, _ = process(client)
    other, tunables = process(client)
    assert await one(1) == [Product("page 1, fetch 1")]
    await written(client, eventually)
    assert await asyncio.gather(*(other(1) for _ in range(50))) == [[Product("page 1, fetch 1")]] * 50
    assert shop.fetches == 1
    assert counts(tunables) == (50, 0, 0)
    age, other_age = one.age(1), other.age(1)
    assert age is not None
    assert other_age is not None
    assert other_age >= age, "as old as it was when the other one read it"
    assert await client.ttl("paceline:products:products:1") > 3500


async def test_a_shorter_ttl_refuses_at_once_what_is_in_redis(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    one, _ = process(client)
    await one(1)
    await written(client, eventually)
    other, tunables = process(client)
    ttl(tunables, 1e-6)
    assert await other(1) == [Product("page 1, fetch 2")]
    ttl(tunables, 0)
    assert await other(1) == [Product("page 1, fetch 3")]
    ttl(tunables, 300)
    assert await other(1) == [Product("page 1, fetch 3")]


async def test_a_stale_entry_of_another_process_stands_in_for_a_failing_fetch(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    one, _ = process(client)
    await one(1)
    await written(client, eventually)
    other, tunables = process(client, max_staleness=300)
    ttl(tunables, 1e-6)
    shop.broken = True
    assert await other(1) == [Product("page 1, fetch 1")]
    assert counts(tunables) == (0, 0, 1)


async def test_an_early_fetch_is_not_satisfied_with_the_entry_that_is_due(
    client: Redis, shop: Shop, eventually: Any
) -> None:
    now = [1_000_000.0]
    tier = RedisTier("products", lambda: client, Json)
    cache = Cache("products", 60, redis=tier, clock=lambda: now[0], draw=lambda: 1e-300)

    async def fetch() -> int:
        shop.fetches += 1
        return shop.fetches

    assert await cache.get("products:1", fetch) == 1
    await written(client, eventually)
    now[0] += 60 - 1e-6
    assert await cache.get("products:1", fetch) == 1

    async def renewed() -> bool:
        return shop.fetches == 2

    await eventually(renewed, "a second fetch")


async def test_what_is_forgotten_is_gone_from_redis(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    load, _ = process(client)
    await load(1)
    await written(client, eventually)
    await load.forget(1)
    assert await client.keys("*") == []
    assert await load(1) == [Product("page 1, fetch 2")]


async def test_no_request_fails_while_redis_is_away_and_it_is_used_again_afterwards(
    process: Process, shop: Shop, tmp_path: Path, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with valkey(tmp_path) as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
    load, tunables = process(client)
    began = monotonic()
    answers = await asyncio.gather(*(load(page) for page in range(20)))
    assert answers[7] == [Product("page 7, fetch 8")]
    assert counts(tunables) == (0, 20, 0)
    assert "cache products: Redis get failed, going on without it" in caplog.text
    await asyncio.gather(*(load(page) for page in range(100, 120)))
    if monotonic() - began < RETRY_SECONDS:
        assert len(caplog.records) <= 20, "left alone for a second after a failure"
    with valkey(tmp_path, port=port):

        async def used_again() -> bool:
            await load.forget(1)
            await load(1)
            return bool(await client.exists("paceline:products:products:1"))

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


async def test_rubbish_in_redis_is_a_miss(client: Redis, process: Process) -> None:
    await client.set("paceline:products:products:1", b"\x01rubbish")
    load, tunables = process(client)
    assert await load(1) == [Product("page 1, fetch 1")]
    assert counts(tunables) == (0, 1, 0)


async def test_a_client_that_decodes_is_named_in_the_log(
    valkey_url: str, client: Redis, process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    await client.set("paceline:products:products:1", b"text")
    async with Redis.from_url(valkey_url, decode_responses=True) as decoding:
        load, _ = process(decoding)
        assert await load(1) == [Product("page 1, fetch 1")]
    assert "without decode_responses" in caplog.text
