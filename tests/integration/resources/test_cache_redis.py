"""The tier that processes share, in a real Valkey: two registries stand for two processes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic
from typing import Any
from uuid import UUID

import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.local.valkey import valkey
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.entry import Entry
from paceline.resources.cache.fidelity import difference
from paceline.resources.cache.plain import Plain
from paceline.resources.cache.redis import RETRY_SECONDS, RedisTier
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
        self.open = asyncio.Event()
        self.open.set()


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
            number = shop.fetches
            await shop.open.wait()
            if shop.broken:
                raise ConnectionError("the shop is closed")
            return [Product(f"page {page}, fetch {number}")]

        return load, tunables

    return start


def counts(tunables: tune.Tunables) -> tuple[int, int, int]:
    report = tunables.report()["caches"]["products"]
    return report["hits"], report["misses"], report["staleHits"]


async def entries(client: Redis) -> list[bytes]:
    """The keys that hold values, not versions of keys."""
    return [key for key in await client.keys("paceline:*") if not key.endswith(b":version")]


async def written(client: Redis, eventually: Any) -> None:
    async def is_there() -> bool:
        return bool(await entries(client))

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


@dataclass
class Order:
    when: Any


AWKWARD = {
    "when": datetime(2026, 3, 29, 2, 30, tzinfo=UTC),
    "id": UUID(int=7),
    "pair": (1, "a"),
    "price": Decimal("1.10"),
    "odd": [float("nan"), -0.0, float("inf"), 2**70, b"\xff", {1, 2}, timedelta(1), date(2026, 1, 1), "\ud800", "\0"],
    "within": {1: "one", "1": "text", (1, 2): None, "\0": 1},
}


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("value", "annotation", "shared"),
    [
        pytest.param(AWKWARD, dict, True, id="a dict of everything"),
        pytest.param(AWKWARD, dict[str, Any], True, id="the same, annotated"),
        pytest.param(AWKWARD, None, True, id="the same, not annotated"),
        pytest.param((1, (2,)), tuple[int, tuple[int, ...]], True, id="tuples"),
        pytest.param({1: {2: 3}}, dict[int, dict[int, int]], True, id="integer keys"),
        pytest.param([Order(1)], list[Order], True, id="a dataclass"),
        pytest.param([Order(UUID(int=7))], list[Order], False, id="a dataclass with an unnamed type in it"),
        pytest.param([Order(1)], list, False, id="a dataclass that no annotation names"),
        pytest.param(Order, Any, False, id="a class"),
        pytest.param("text", bytes, False, id="another type than annotated"),
    ],
)
async def test_all_processes_get_values_of_the_same_types(
    client: Redis, eventually: Any, caplog: pytest.LogCaptureFixture, value: Any, annotation: Any, shared: bool
) -> None:
    fetches = 0

    def start() -> Any:
        async def load() -> Any:
            nonlocal fetches
            fetches += 1
            return value

        if annotation is None:
            del load.__annotations__["return"]
        else:
            load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis = client
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    first = await start()()

    async def settled() -> bool:
        return bool(await entries(client)) or "is not shared through Redis" in caplog.text

    await eventually(settled, "the value written, or refused with the reason")
    second = await start()()
    assert difference(first, second) is None
    assert fetches == (1 if shared else 2)
    assert ("is not shared through Redis" in caplog.text) is not shared


async def test_other_shapes_and_namespaces_have_entries_of_their_own(client: Redis, eventually: Any) -> None:
    def start(annotation: Any, namespace: str, value: Any) -> Any:
        async def load() -> Any:
            return value

        load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis, tunables.cache_namespace = client, namespace
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    for number, (annotation, namespace) in enumerate([(dict, "a"), (list, "a"), (dict, "b"), (dict, "b:c")]):
        assert await start(annotation, namespace, [number])() == [number]

        async def as_many(number: int = number) -> bool:
            return len(await entries(client)) == number + 1

        await eventually(as_many, "one more entry")


@pytest.mark.invariant
async def test_a_forget_reaches_entries_of_another_shape(client: Redis, eventually: Any) -> None:
    """During a rollout an old and a new release have the same cache."""

    def start(annotation: Any) -> Any:
        async def load(page: int) -> Any:
            return [monotonic()]

        load.__annotations__["return"] = annotation
        tunables = tune.Tunables()
        tunables.cache_redis = client
        return tune.cache(name="values", ttl=60, tunables=tunables)(load)

    old_release, new_release = start(list), start(list[float])
    old = await old_release(1)
    await written(client, eventually)
    await new_release.forget(1)

    async def gone() -> bool:
        return old_release.age(1) is None

    await eventually(gone, "the old release without the entry")
    assert await start(list)(1) != old
