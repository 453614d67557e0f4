"""What routes ask for, by type. The lifespan opened it; `connections.State` names it."""

from typing import Annotated

import asyncpg
from fastapi import Depends, Request
from redis.asyncio import Redis


async def _postgres(request: Request) -> asyncpg.Pool:
    pool: asyncpg.Pool = request.state.postgres
    return pool


async def _redis(request: Request) -> Redis:
    client: Redis = request.state.redis
    return client


PostgresDep = Annotated[asyncpg.Pool, Depends(_postgres)]
RedisDep = Annotated[Redis, Depends(_redis)]
