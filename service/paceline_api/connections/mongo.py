"""An ordinary pymongo client; `tune.pool` puts a movable limit in front of its connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

from paceline import tune
from pymongo import AsyncMongoClient
from pymongo.asynchronous.database import AsyncDatabase

from paceline_api.settings import MongoSettings

_DATABASE: Final = "shop"
"""Where the address names none."""


@asynccontextmanager
async def open_mongo(settings: MongoSettings) -> AsyncIterator[AsyncDatabase[dict[str, Any]] | None]:
    """The database that the address names; connects on first use. None where no address is set."""
    if settings.url is None:
        yield None
        return
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        settings.url.get_secret_value(),
        maxPoolSize=settings.cap,
        timeoutMS=int(settings.timeout_seconds * 1000),  # bounds a whole operation: finding a server, retries, all
        tz_aware=True,
    )
    async with tune.pool(client, name="mongo", limit=settings.limit):
        yield client.get_default_database(_DATABASE)
