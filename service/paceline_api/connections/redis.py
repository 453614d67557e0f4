"""An ordinary redis-py client; `tune.pool` puts a movable limit in front of its pool."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from paceline import tune
from redis.asyncio import Redis

from paceline_api.settings import RedisSettings


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Connects on first use."""
    client = Redis.from_url(
        settings.url.get_secret_value(),
        max_connections=settings.cap,
        socket_timeout=2.0,
        driver_info=None,  # else every new connection reads package metadata from disk, on the event loop
    )
    async with tune.pool(client, name="redis", limit=settings.limit):
        yield client
