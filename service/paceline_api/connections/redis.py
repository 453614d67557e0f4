"""Ordinary redis-py clients; `tune.pool` puts a movable limit in front of each one's pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from paceline import tune
from redis.asyncio import Redis

from paceline_api.security_store import SecurityStore
from paceline_api.settings import RedisSettings, SecurityRedisSettings


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Connects on first use."""
    client = _client(settings.url.get_secret_value(), settings.cap)
    async with tune.pool(client, name="redis", limit=settings.limit):
        yield client


@asynccontextmanager
async def open_security_redis(
    settings: SecurityRedisSettings, shared: Redis
) -> AsyncIterator[tuple[Redis, SecurityStore]]:
    """The client for what must never be evicted, and who says whether it is not; `shared` where no address is set."""
    if settings.url is None:
        store = SecurityStore(shared, "REDIS_URL")
        await store.look()
        yield shared, store
        return
    client = _client(settings.url.get_secret_value(), settings.cap)
    async with tune.pool(client, name="security", limit=settings.limit):
        store = SecurityStore(client, "SECURITY_REDIS_URL")
        await store.look()
        yield client, store


def _client(url: str, cap: int) -> Redis:
    return Redis.from_url(
        url,
        max_connections=cap,
        socket_timeout=2.0,
        driver_info=None,  # else every new connection reads package metadata from disk, on the event loop
    )
