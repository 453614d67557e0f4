"""The tier that processes share, in a real Valkey: what one of them fetched, and how long the others may use it."""

import asyncio
from typing import Any

from cached_shop import Process, Product, Shop, counts, ttl, written
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.plain import Plain
from paceline.resources.cache.redis import RedisTier
from redis.asyncio import Redis


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

    async def as_old_as_for_the_first() -> bool:
        # Memory that has heard nothing for a second, as on a busy machine, is empty until the next look into Redis.
        await one(1)
        await other(1)
        age, other_age = one.age(1), other.age(1)
        return age is not None and other_age is not None and other_age >= age

    await eventually(as_old_as_for_the_first, "both know how old it is")
    assert shop.fetches == 1
    assert [await client.ttl(key) > 3500 for key in await client.keys("*")] == [True, True]


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
    tier = RedisTier("products", lambda: client, Plain)
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
