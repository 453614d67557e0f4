"""Alembic's environment, as `alembic init -t async` makes it, without its logging."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool


def upgrade(connection: Connection) -> None:
    context.configure(connection=connection, version_table="shop_version")
    with context.begin_transaction():
        context.run_migrations()


async def run() -> None:
    url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
    engine = create_async_engine(url, poolclass=NullPool)
    async with engine.connect() as connection:
        await connection.run_sync(upgrade)
    await engine.dispose()


asyncio.run(run())
