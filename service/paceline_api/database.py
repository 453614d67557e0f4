"""Opens the databases. The pools are ordinary asyncpg and redis-py pools; `tune.pool` puts a movable limit in front."""

from typing import Any

import asyncpg
from paceline import tune
from redis.asyncio import Redis

from paceline_api.settings import Settings


async def open_postgres(settings: Settings) -> asyncpg.Pool:
    """Connects on first use, so that an API whose database is down starts, and answers 503 until it is up."""
    pool = await asyncpg.create_pool(
        settings.database_url.get_secret_value(),
        min_size=0,
        max_size=settings.api_postgres_cap,
        timeout=settings.api_query_timeout_seconds,
        command_timeout=settings.api_query_timeout_seconds,
        connection_class=_connection_class(settings.api_simulated_distance_seconds),
    )
    return tune.pool(pool, name="postgres", limit=settings.api_postgres_limit)


def open_redis(settings: Settings) -> Redis:
    """Connects on first use."""
    client = Redis.from_url(
        settings.redis_url.get_secret_value(),
        max_connections=settings.api_redis_cap,
        socket_timeout=2.0,
        driver_info=None,  # else every new connection reads package metadata from disk, on the event loop
    )
    return tune.pool(client, name="redis", limit=settings.api_redis_limit)


def _connection_class(distance_seconds: float) -> type[asyncpg.Connection]:
    """Ordinary connections, or ones to a database that seems far away: a demonstration on one machine needs waiting."""
    if not distance_seconds:
        return asyncpg.Connection

    class DistantConnection(asyncpg.Connection):
        async def fetch(self, query: str, *arguments: Any, **options: Any) -> Any:
            await super().fetch("SELECT pg_sleep($1)", distance_seconds)
            return await super().fetch(query, *arguments, **options)

    return DistantConnection
