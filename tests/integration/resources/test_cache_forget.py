"""`forget` in a real Valkey, where several caches share a client and fetches take long."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from paceline import tune
from paceline.resources.cache.fidelity import difference
from pydantic import BaseModel, ConfigDict, computed_field
from redis.asyncio import Redis

if TYPE_CHECKING:
    from decimal import Context

pytestmark = pytest.mark.invariant


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        yield client


class Shop:
    """A slow source, and what processes make of it."""

    def __init__(self, client: Redis) -> None:
        self.client = client
        self.fetches = 0
        self.open = asyncio.Event()

    def process(self, *, module: str = "shop.prices", name: str = "prices", **options: Any) -> Any:
        async def price(item: int) -> int:
            self.fetches += 1
            fetch = self.fetches
            await self.open.wait()
            return fetch

        price.__module__ = module
        options = {"ttl": 60, "tunables": tune.Tunables(), "redis": self.client} | options
        return tune.cache(name=name, **options)(price)


@pytest.fixture
def shop(client: Redis) -> Shop:
    return Shop(client)


async def stored(client: Redis, number: int, eventually: Any) -> None:
    async def are_there() -> bool:
        return len([key for key in await client.keys("paceline:*") if not key.endswith(b":version")]) == number

    await eventually(are_there, f"{number} entries in Redis")


async def test_caches_of_several_modules_that_share_a_client_all_hear_what_others_forget(
    shop: Shop, eventually: Any
) -> None:
    """Outside `paceline serve` a cache's namespace is its module, if no other is set."""
    shop.open.set()
    here, there = tune.Tunables(), tune.Tunables()
    of_first = [shop.process(module="shop.first", name="first", tunables=registry) for registry in (here, there)]
    of_second = [shop.process(module="shop.second", name="second", tunables=registry) for registry in (here, there)]
    for load in (*of_first, *of_second):
        await load(1)
    await stored(shop.client, 2, eventually)
    for one, other in (of_first, of_second):
        await one.forget(1)

        async def gone(load: Any = other) -> bool:
            return load.age(1) is None

        await eventually(gone, "the other memory without the entry")


async def test_who_asks_after_a_forget_does_not_get_a_fetch_of_another_process_that_began_before(
    shop: Shop, eventually: Any
) -> None:
    here, there = shop.process(), shop.process()
    early = asyncio.create_task(there(1))

    async def fetching(number: int = 1) -> bool:
        return shop.fetches == number

    await eventually(fetching, "a fetch under way")
    await here.forget(1)
    late: list[asyncio.Task[int]] = []

    async def fetched_anew() -> bool:
        late.append(asyncio.create_task(there(1)))  # one of them is the first to come after the message
        await asyncio.sleep(0.01)
        return shop.fetches == 2

    try:
        await eventually(fetched_anew, "a fetch that began after the forget")
    finally:
        shop.open.set()
    assert (await early, await late[-1]) == (1, 2)
    assert await there(1) >= 2, "the older fetch has not been stored; a newer one may be due"


async def test_after_a_pause_of_the_process_memory_does_not_serve_what_was_forgotten_meanwhile(
    valkey_url: str, shop: Shop, eventually: Any
) -> None:
    """Its timers are late then, and so is what it should have heard."""
    shop.open.set()
    load = shop.process()
    assert await load(1) == 1
    await stored(shop.client, 1, eventually)

    async def forget() -> None:
        async with Redis.from_url(valkey_url) as client:
            await Shop(client).process().forget(1)

    elsewhere = threading.Thread(target=lambda: asyncio.run(forget()))
    elsewhere.start()
    time.sleep(1.5)  # as a handler that computes
    elsewhere.join()
    assert await load(1) == 2


async def test_forget_does_not_wait_for_ever_for_a_redis_that_hangs(
    shop: Shop, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paceline.resources.cache.redis._FORGET_SECONDS", 0.2)
    shop.open.set()
    load = shop.process()
    await load(1)
    await client.client_pause(20_000, all=False)
    try:
        async with asyncio.timeout(10):
            with pytest.raises(TimeoutError):
                await load.forget(1)
            assert await load(1) == 2, "and what Redis still has is not read"
    finally:
        await client.client_unpause()


async def test_a_caller_who_is_cancelled_does_not_stop_a_forget(shop: Shop, client: Redis, eventually: Any) -> None:
    shop.open.set()
    load = shop.process()
    await load(1)
    await stored(client, 1, eventually)
    await client.client_pause(500, all=False)
    caller = asyncio.create_task(load.forget(1))
    await asyncio.sleep(0.1)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await stored(client, 0, eventually)


async def test_a_pool_that_is_exhausted_is_no_reason_to_leave_redis_alone(
    valkey_url: str, shop: Shop, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr("paceline.resources.cache.redis.RETRY_SECONDS", 3600)
    monkeypatch.setattr("paceline.resources.cache.redis.TIMEOUT_SECONDS", 10)
    shop.open.set()
    async with Redis.from_url(valkey_url, max_connections=2) as limited:
        load = shop.process(redis=limited)
        await asyncio.gather(*(load(page) for page in range(30)))

        async def used_again() -> bool:
            await load(1000 + shop.fetches)
            return bool(await shop.client.keys("paceline:*item=1???}:version"))

        await eventually(used_again, "Redis asked again")


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")
    number: Any = "4111 1111 1111 1111"

    @computed_field
    @property
    def copy_of_it(self) -> str:
        return str(self.number)


async def test_the_log_does_not_hold_what_is_cached(
    client: Redis, eventually: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @tune.cache(name="cards", ttl=60, redis=client, tunables=tune.Tunables())
    async def load() -> Closed:
        return Closed()

    await load()

    async def said() -> bool:
        return "is not shared through Redis" in caplog.text

    await eventually(said, "the reason in the log")
    assert "4111" not in caplog.text
    assert "copy_of_it Extra inputs are not permitted" in caplog.text
    assert len(caplog.records) == 1


class Slotted:
    __slots__ = ("x",)

    def __init__(self, x: Any) -> None:
        self.x = x


class Table:
    """Compares cell by cell, as those of pandas do."""

    def __init__(self, *cells: int) -> None:
        self.cells = cells

    def __eq__(self, other: Any) -> Any:
        return np.array(self.cells) == np.array(other.cells)

    __hash__ = None  # type: ignore[assignment]


def test_what_comes_back_is_compared_also_in_slots_and_in_tables() -> None:
    assert difference(Slotted(1), Slotted(1)) is None
    assert difference(Slotted(1), Slotted(2)) == "the value.x comes back changed"
    assert difference(Table(1, 2), Table(1, 2)) is None
    assert difference(Table(1, 2), Table(1, 3)) == "the value of type Table comes back changed"


@pytest.mark.parametrize(
    "release",
    [
        pytest.param({"key": "p:{item:d}"}, id="another key"),
        pytest.param({"module": "warehouse.prices"}, id="another module"),
    ],
)
async def test_what_another_release_or_module_means_by_a_key_is_not_read(
    shop: Shop, client: Redis, monkeypatch: pytest.MonkeyPatch, eventually: Any, release: dict[str, Any]
) -> None:
    monkeypatch.setenv("PACELINE_CACHE_NAMESPACE", "shop")
    shop.open.set()
    load: Callable[..., Any] = shop.process(key="p:{item}")
    assert await load(1) == 1
    await stored(client, 1, eventually)
    assert await shop.process(key="p:{item}")(1) == 1
    assert await shop.process(**{"key": "p:{item}", **release})(1) == 2


async def test_only_the_return_annotation_has_to_be_readable(client: Redis, eventually: Any) -> None:
    @tune.cache(name="typed", ttl=60, key="{page}", redis=client, tunables=tune.Tunables())
    async def load(page: int, context: "Context | None" = None) -> dict[str, int]:
        return {"page": page}

    assert await load(1) == {"page": 1}
    await stored(client, 1, eventually)
