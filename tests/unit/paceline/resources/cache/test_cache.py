"""The cache in one process, with the clock in the test's hand; its Redis tier is in tests/integration/resources."""

import asyncio
from typing import Any

import pytest
from paceline.errors import UsageError
from paceline.resources.cache.cache import Cache
from paceline.resources.cache.plain import Plain
from paceline.resources.cache.redis import RedisTier


class Shop:
    """A source of responses that can be slow and can fail; counts what it is asked."""

    def __init__(self) -> None:
        self.fetches = 0
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()

    async def load(self) -> str:
        self.fetches += 1
        number = self.fetches
        await self.open.wait()
        if self.broken:
            raise ConnectionError("the shop is closed")
        return f"answer {number}"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def cache(clock: Clock) -> Cache:
    return make(clock)


def make(clock: Clock, *, ttl: float = 60, max_staleness: float = 300, **options: Any) -> Cache:
    nowhere = RedisTier("products", lambda: None, Plain)
    options = {"clock": clock, "draw": lambda: 1.0, **options}
    return Cache("products", ttl, redis=nowhere, max_staleness_seconds=max_staleness, **options)


def counts(cache: Cache) -> tuple[int, int, int]:
    report = cache.report()
    return report["hits"], report["misses"], report["staleHits"]


async def background() -> None:
    """Lets fetches in the background come to their end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_response_is_kept_for_the_ttl(cache: Cache, shop: Shop, clock: Clock) -> None:
    assert await cache.get("k", shop.load) == "answer 1"
    clock.now += 59
    assert await cache.get("k", shop.load) == "answer 1"
    assert await cache.get("other", shop.load) == "answer 2"
    assert cache.age("k") == 59
    assert cache.age("unknown") is None
    assert counts(cache) == (1, 2, 0)


async def test_a_hundred_callers_share_one_fetch(cache: Cache, shop: Shop) -> None:
    shop.open.clear()
    callers = [asyncio.create_task(cache.get("k", shop.load)) for _ in range(100)]
    await background()
    shop.open.set()
    assert set(await asyncio.gather(*callers)) == {"answer 1"}
    assert shop.fetches == 1
    assert cache.report()["fetch"]["count"] == 1


async def test_a_cancelled_caller_does_not_take_the_response_from_the_others(cache: Cache, shop: Shop) -> None:
    shop.open.clear()
    first, second = (asyncio.create_task(cache.get("k", shop.load)) for _ in range(2))
    await background()
    first.cancel()
    await background()
    shop.open.set()
    assert await second == "answer 1"
    assert first.cancelled()


async def test_a_new_ttl_counts_at_once_for_what_is_kept(cache: Cache, shop: Shop, clock: Clock) -> None:
    await cache.get("k", shop.load)
    clock.now += 30
    cache.set_ttl(0)
    assert await cache.get("k", shop.load) == "answer 2"
    assert await cache.get("k", shop.load) == "answer 3"
    clock.now += 200
    cache.set_ttl(300)
    assert await cache.get("k", shop.load) == "answer 3"
    cache.set_ttl(100)
    assert await cache.get("k", shop.load) == "answer 3", "stale, but not too old; fetched anew behind it"
    await background()
    assert await cache.get("k", shop.load) == "answer 4"
    assert counts(cache) == (2, 3, 1)


async def test_with_a_ttl_of_zero_callers_do_not_even_share_a_fetch(cache: Cache, shop: Shop) -> None:
    cache.set_ttl(0)
    await asyncio.gather(*(cache.get("k", shop.load) for _ in range(10)))
    assert shop.fetches == 10


async def test_a_stale_answer_is_given_while_one_fetch_renews_it(cache: Cache, shop: Shop, clock: Clock) -> None:
    await cache.get("k", shop.load)
    clock.now += 61
    shop.open.clear()
    assert await asyncio.gather(*(cache.get("k", shop.load) for _ in range(10))) == ["answer 1"] * 10
    shop.open.set()
    await background()
    assert await cache.get("k", shop.load) == "answer 2"
    assert shop.fetches == 2
    assert counts(cache) == (1, 1, 10)


@pytest.mark.parametrize("ttl", [60, 0], ids=["after the TTL", "with a TTL of zero"])
async def test_a_stale_answer_stands_in_for_a_failing_fetch_but_not_for_ever(
    cache: Cache, shop: Shop, clock: Clock, ttl: float
) -> None:
    await cache.get("k", shop.load)
    cache.set_ttl(ttl)
    shop.broken = True
    clock.now += 299
    assert await cache.get("k", shop.load) == "answer 1"
    await background()
    clock.now += 100
    with pytest.raises(ConnectionError):
        await cache.get("k", shop.load)


async def test_an_error_reaches_all_who_wait_and_is_not_kept(cache: Cache, shop: Shop) -> None:
    shop.broken = True
    shop.open.clear()
    callers = [asyncio.create_task(cache.get("k", shop.load)) for _ in range(3)]
    await background()
    shop.open.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError] * 3
    shop.broken = False
    assert await cache.get("k", shop.load) == "answer 2"
    assert counts(cache) == (0, 4, 0)


async def test_without_staleness_an_old_response_is_not_given(shop: Shop, clock: Clock) -> None:
    cache = make(clock, max_staleness=0)
    await cache.get("k", shop.load)
    clock.now += 60
    assert await cache.get("k", shop.load) == "answer 2"


async def test_near_its_end_a_response_is_fetched_early(shop: Shop, clock: Clock) -> None:
    cache = make(clock, draw=lambda: 1e-300)
    await cache.get("k", shop.load)
    clock.now += 60 - 1e-4
    assert await cache.get("k", shop.load) == "answer 1"
    await background()
    assert await cache.get("k", shop.load) == "answer 2"


async def test_the_response_unused_longest_makes_room(shop: Shop, clock: Clock) -> None:
    cache = make(clock, max_entries=2)
    for key in ("a", "b", "a", "c"):
        await cache.get(key, shop.load)
    assert [cache.age(key) is not None for key in "abc"] == [True, False, True]


async def test_a_fetch_under_way_is_not_kept_if_it_is_forgotten_meanwhile(cache: Cache, shop: Shop) -> None:
    shop.open.clear()
    early = asyncio.create_task(cache.get("k", shop.load))
    await background()
    await cache.forget("k")
    shop.open.set()
    assert await early == "answer 1"
    assert cache.age("k") is None
    assert await cache.get("k", shop.load) == "answer 2"


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"ttl": -1}, "ttl must be a number of seconds, 0 or more, got -1", id="a negative TTL"),
        pytest.param({"ttl": float("nan")}, "got nan", id="a TTL that is no number"),
        pytest.param({"max_staleness": float("inf")}, "max_staleness must be", id="staleness without end"),
        pytest.param({"max_entries": 0}, "max_entries must be at least 1, got 0", id="no room"),
    ],
)
def test_nonsense_is_refused(clock: Clock, options: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        make(clock, **options)


async def test_other_ttls_are_counted_beside_the_one_in_force(cache: Cache, shop: Shop, clock: Clock) -> None:
    for _ in range(10):
        await cache.get("k", shop.load)
        clock.now += 20
    cache.set_ttl(0)
    await cache.get("k", shop.load)

    ghosts = {entry["ttlSeconds"]: (entry["hits"], entry["misses"]) for entry in cache.report()["ghosts"]}

    assert (ghosts[15], ghosts[30], ghosts[300]) == ((0, 11), (5, 6), (10, 1))
    assert ghosts[60] == (7, 4), "as many misses as the TTL in force had fetches"
