"""An ordinary async engine of SQLAlchemy; `tune.pool` puts a movable limit in front of its pool.

Its connections and those of the pool `postgres` are the same server's: a policy gives both the same `budgetRef`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import sqlalchemy.dialects.postgresql.asyncpg  # noqa: F401 - else the first worker loads it on its event loop
from paceline import tune
from sqlalchemy import make_url
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from paceline_api.settings import ItemsSettings, PostgresSettings

Sessions = async_sessionmaker[AsyncSession]


@asynccontextmanager
async def open_sessions(settings: ItemsSettings, postgres: PostgresSettings) -> AsyncIterator[Sessions]:
    """Makes sessions; connects on first use. No overflow: the limit says how many connections there are."""
    engine = create_async_engine(
        make_url(postgres.url.get_secret_value()).set(drivername="postgresql+asyncpg"),
        pool_size=settings.cap,
        max_overflow=0,
        pool_timeout=postgres.timeout_seconds,
        pool_pre_ping=True,
        connect_args={"timeout": postgres.timeout_seconds, "command_timeout": postgres.timeout_seconds},
    )
    tune.pool(engine, name="items", limit=settings.limit)
    try:
        # Responses are made of objects after the commit: without `expire_on_commit=False` each would be read again.
        yield async_sessionmaker(engine, expire_on_commit=False)
    finally:
        await engine.dispose()
