"""What the API holds open, one module a backend. `opened` opens all of it; it closes in the reverse order."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from paceline import tune

from paceline_api import accounts
from paceline_api.connections.mongo import open_mongo
from paceline_api.connections.postgres import open_postgres
from paceline_api.connections.processes import open_processes
from paceline_api.connections.redis import open_redis, open_security_redis
from paceline_api.connections.sqlalchemy import open_sessions
from paceline_api.connections.state import State
from paceline_api.connections.upstream import open_upstream
from paceline_api.passwords import Passwords
from paceline_api.prices import open_prices
from paceline_api.rate_limit import build_rate_limit
from paceline_api.settings import Settings
from paceline_api.sign_in import build_attempts
from paceline_api.tokens import build_tokens

__all__ = ["State", "opened"]


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[State]:
    """Everything that requests use. Each connects on first use: a backend that is down fails its routes only."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        redis = await enter(open_redis(settings.redis))
        security_redis, security = await enter(open_security_redis(settings.security_redis, redis))
        postgres = await enter(open_postgres(settings.postgres))
        state = State(
            postgres=postgres,
            account_by_id=tune.batch(partial(accounts.by_ids, postgres)),
            sessions=await enter(open_sessions(settings.items, settings.postgres)),
            redis=redis,
            security=security,
            processes=await enter(open_processes(settings.processes)),
            prices=await enter(open_prices(settings.redis, settings.prices)),
            rate_limit=build_rate_limit(security_redis, settings.rate_limit),
            mongo=await enter(open_mongo(settings.mongo)),
            upstream=await enter(open_upstream(settings.upstream)),
            passwords=Passwords(settings.sign_in.hashes_at_once),
            attempts=build_attempts(security_redis, settings.sign_in),
            tokens=build_tokens(security_redis, settings.token),
            pitfalls=settings.pitfalls.enabled,
        )
        tune.tunables.cache_redis = redis
        yield state
