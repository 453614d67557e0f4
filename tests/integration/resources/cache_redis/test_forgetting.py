"""What one process forgets, all forget: against every fetch, write and refresh that began before it."""

import asyncio
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from cached_shop import Process, Product, Shop, entries, ttl, written
from paceline import tune
from paceline.local.valkey import valkey
from paceline.resources.cache.entry import Entry
from paceline.resources.cache.plain import Plain
from paceline.resources.cache.redis import RETRY_SECONDS, RedisTier
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


async def test_what_is_forgotten_is_gone_from_redis(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    load, _ = process(client)
    await load(1)
    await written(client, eventually)
    await load.forget(1)
    assert await client.keys("*") == []
    assert await load(1) == [Product("page 1, fetch 2")]


@pytest.mark.invariant
async def test_a_fetch_that_began_before_a_forget_is_cached_nowhere(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    one, _ = process(client)
    other, _ = process(client)
    shop.open.clear()
    early = [asyncio.create_task(load(1)) for load in (one, other)]

    async def fetching() -> bool:
        return shop.fetches == 2

    await eventually(fetching, "two fetches under way")
    await one.forget(1)
    shop.open.set()
    await asyncio.gather(*early)
    await asyncio.sleep(0.05)
    assert await entries(client) == []
    assert await one(1) == [Product("page 1, fetch 3")]
    assert await other(1) in ([Product("page 1, fetch 3")], [Product("page 1, fetch 4")])


@pytest.mark.invariant
@pytest.mark.parametrize("read_since", [False, True], ids=["nobody has read since", "somebody has read since"])
async def test_redis_itself_refuses_what_was_fetched_before_a_forget(client: Redis, read_since: bool) -> None:
    """A process that is slow to hear of it: nothing but the version in Redis stands in its way."""
    slow, other = (RedisTier("products", lambda: client, Plain) for _ in range(2))
    began_with = (await slow.get("1")).version
    assert began_with is not None
    await other.forget("1")
    if read_since:
        assert (await other.get("1")).version != began_with
    assert await slow.set("1", Entry("old", 0.0, 0.1), began_with, 60) is False
    assert await entries(client) == []
    now = (await slow.get("1")).version
    assert now is not None
    assert await slow.set("1", Entry("new", 0.0, 0.1), now, 60) is True
    assert len(await entries(client)) == 1


@pytest.mark.invariant
async def test_a_write_that_is_under_way_does_not_bring_back_what_was_forgotten(
    client: Redis, process: Process, eventually: Any
) -> None:
    load, _ = process(client)
    for _ in range(20):
        old = await load(1)  # its write has just begun
        await load.forget(1)
        assert await load(1) != old
        await asyncio.sleep(0.01)
        assert await load(1) != old
    other, _ = process(client)
    assert await other(1) == await load(1)


@pytest.mark.invariant
async def test_an_early_refresh_does_not_bring_back_what_was_forgotten(
    client: Redis, process: Process, shop: Shop, eventually: Any
) -> None:
    load, tunables = process(client, max_staleness=300)
    await load(1)
    await written(client, eventually)
    ttl(tunables, 1e-6)
    shop.open.clear()
    assert await load(1) == [Product("page 1, fetch 1")], "stale, and fetched anew behind it"

    async def fetching() -> bool:
        return shop.fetches == 2

    await eventually(fetching, "a fetch in the background")
    await load.forget(1)
    shop.open.set()
    ttl(tunables, 60)
    assert await load(1) == [Product("page 1, fetch 3")]


@pytest.mark.invariant
async def test_what_one_process_forgets_the_others_forget_at_once(
    client: Redis, process: Process, eventually: Any
) -> None:
    one, _ = process(client)
    other, tunables = process(client)
    old = await one(1)
    await written(client, eventually)
    assert await other(1) == old
    assert other.age(1) is not None
    await one.forget(1)

    async def gone() -> bool:
        return other.age(1) is None

    await eventually(gone, "the other memory without the entry")
    report = tunables.report()["pools"]["cache-invalidation"]
    assert (report["limit"], report["inUse"], report["open"]) == (1, 1, 1)
    assert len(tunables.sockets()) == 1


@pytest.mark.invariant
async def test_the_subscription_takes_no_connection_from_the_pool(
    valkey_url: str, process: Process, eventually: Any
) -> None:
    async with Redis.from_url(valkey_url, max_connections=1) as limited:
        tunables = tune.Tunables()
        tune.pool(limited, name="redis", limit=1, tunables=tunables)
        load, of_cache = process(limited)
        await load(1)

        async def subscribed() -> bool:
            return len(of_cache.sockets()) == 1

        await eventually(subscribed, "a subscription")
        assert await asyncio.gather(*(limited.ping() for _ in range(5))) == [True] * 5
        assert tunables.report()["pools"]["redis"]["open"] == 1


@pytest.mark.invariant
async def test_without_a_subscription_memory_serves_for_a_second(
    valkey_url: str, client: Redis, process: Process, eventually: Any
) -> None:
    async with Redis.from_url(valkey_url) as inner:

        class NoSubscription:
            """As a cluster's client."""

            async def eval(self, *arguments: Any) -> Any:
                return await inner.eval(*arguments)

        one, _ = process(client)
        other, _ = process(NoSubscription())
        old = await one(1)
        await written(client, eventually)
        assert await other(1) == old
        await one.forget(1)
        began = monotonic()

        async def news() -> bool:
            return await other(1) != old

        await eventually(news, "the new value")
        assert monotonic() - began < 5


@pytest.mark.invariant
async def test_a_subscription_that_is_lost_and_comes_back_empties_memory(
    client: Redis, process: Process, eventually: Any
) -> None:
    one, _ = process(client)
    other, tunables = process(client)
    old = await one(1)
    await written(client, eventually)
    assert await other(1) == old
    await client.client_kill_filter(_type="pubsub")

    async def again() -> bool:
        return other.age(1) is None and len(tunables.sockets()) == 1

    await eventually(again, "memory emptied once subscribed again")


@pytest.mark.invariant
async def test_a_server_that_stops_responding_ends_the_lease(
    client: Redis, valkey_url: str, process: Process, shop: Shop, eventually: Any
) -> None:
    load, _ = process(client)
    old = await load(1)
    await written(client, eventually)
    async with Redis.from_url(valkey_url) as control:
        await control.client_pause(4000)

        async def fetched_anew() -> bool:
            return await load(1) != old

        await eventually(fetched_anew, "a fetch, since nobody tells what is forgotten")
        await control.client_unpause()


@pytest.mark.invariant
async def test_a_forget_that_redis_did_not_hear_is_made_up_for(
    tmp_path: Path, process: Process, eventually: Any
) -> None:
    with valkey(tmp_path) as url:
        port = int(url.rsplit(":", 1)[1].partition("/")[0])
        client = Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        load, _ = process(client)
        old = await load(1)
        await written(client, eventually)
        await client.save()
    with pytest.raises(Exception, match=r"onnect"):
        await load.forget(1)
    with valkey(tmp_path, port=port):
        assert await load(1) != old
        await asyncio.sleep(RETRY_SECONDS)
        assert await load(1) != old
    await client.aclose()
