"""What the lifespan hands to requests."""

from typing import Any, TypedDict

import asyncpg
from paceline import tune
from pymongo.asynchronous.database import AsyncDatabase
from redis.asyncio import Redis

from paceline_api.accounts import Account
from paceline_api.connections.sqlalchemy import Sessions
from paceline_api.connections.upstream import Upstream
from paceline_api.passwords import Passwords
from paceline_api.prices import PriceFeed
from paceline_api.rate_limit import RateLimit
from paceline_api.security_store import SecurityStore
from paceline_api.sign_in import Attempts
from paceline_api.tokens import Tokens


class State(TypedDict):
    """Each is an attribute of `request.state`; routes ask for it by type, see `routes.dependencies`."""

    postgres: asyncpg.Pool
    account_by_id: tune.Batch[int, Account]
    sessions: Sessions
    redis: Redis
    security: SecurityStore
    processes: tune.Processes
    prices: PriceFeed
    rate_limit: RateLimit
    mongo: AsyncDatabase[dict[str, Any]] | None
    upstream: Upstream | None
    passwords: Passwords
    attempts: Attempts
    tokens: Tokens | None
    """None: no secret is set, and nobody signs in."""
    pitfalls: bool
    """Whether mistakes are served."""
