"""A Valkey that is empty, and the shop whose function is cached in it."""

from collections.abc import AsyncIterator

import pytest
from cached_shop import Process, Shop, process_of
from redis.asyncio import Redis


@pytest.fixture
async def client(valkey_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(valkey_url) as client:
        await client.flushdb()
        yield client


@pytest.fixture
def shop() -> Shop:
    return Shop()


@pytest.fixture
def process(shop: Shop) -> Process:
    """Starts a process: the cached function with memory of its own."""
    return process_of(shop)
