"""What the lifespan hands to requests."""

from typing import TypedDict

import asyncpg
from redis.asyncio import Redis


class State(TypedDict):
    """Each is an attribute of `request.state`; routes ask for it by type, see `routes.dependencies`."""

    postgres: asyncpg.Pool
    redis: Redis
