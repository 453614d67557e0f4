"""An ordinary asyncpg pool; `tune.pool` puts a movable limit in front."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from paceline import tune

from paceline_api.settings import PostgresSettings


@asynccontextmanager
async def open_postgres(settings: PostgresSettings) -> AsyncIterator[asyncpg.Pool]:
    """Connects on first use, so that an API whose database is down starts, and responds 503 until it is up."""
    pool = await asyncpg.create_pool(
        settings.url.get_secret_value(),
        min_size=0,
        max_size=settings.cap,
        timeout=settings.timeout_seconds,
        command_timeout=settings.timeout_seconds,
        connection_class=_connection_class(settings.simulated_distance_seconds),
    )
    async with tune.pool(pool, name="postgres", limit=settings.limit):
        yield pool


def _connection_class(distance_seconds: float) -> type[asyncpg.Connection]:
    """Ordinary connections, or ones to a database that seems far away: a demonstration on one machine needs waiting."""
    if not distance_seconds:
        return asyncpg.Connection

    class DistantConnection(asyncpg.Connection):
        async def fetch(self, query: str, *arguments: Any, **options: Any) -> Any:
            await super().fetch("SELECT pg_sleep($1)", distance_seconds)
            return await super().fetch(query, *arguments, **options)

    return DistantConnection
