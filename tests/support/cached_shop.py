"""A shop's function, cached in the Redis that processes share: each call of `start` stands for a process of its own."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from paceline import tune
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from redis.asyncio import Redis


@dataclass
class Product:
    name: str


class Shop:
    def __init__(self) -> None:
        self.fetches = 0
        self.broken = False
        self.open = asyncio.Event()
        self.open.set()


Process = Callable[..., tuple[tune.Cached[[int], list[Product]], tune.Tunables]]


def process_of(shop: Shop) -> Process:
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
