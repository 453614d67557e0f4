"""New accounts. What must not be lost goes into the transaction, what may be lost runs after the response."""

import logging
from typing import Final

from fastapi import APIRouter, BackgroundTasks
from redis.asyncio import Redis
from redis.exceptions import RedisError

from paceline_api import accounts
from paceline_api.accounts import Account
from paceline_api.errors import EmailTaken, InvalidRequest, NotConfigured, TooManyRequests, Unavailable
from paceline_api.routes.account_dependencies import AddressDep, AttemptsDep, PasswordsDep
from paceline_api.routes.dependencies import PostgresDep, RedisDep
from paceline_api.schemas.accounts import AccountItem, Signup
from paceline_api.schemas.errors import documented

router = APIRouter(
    tags=["accounts"], responses=documented(EmailTaken, InvalidRequest, TooManyRequests, NotConfigured, Unavailable)
)

SIGNUPS: Final = "stats:signups"
"""A hash in Redis: new accounts by day."""

logger = logging.getLogger(__name__)


@router.post("/signup", status_code=201, response_model=AccountItem)
async def sign_up(
    wanted: Signup,
    after: BackgroundTasks,
    postgres: PostgresDep,
    redis: RedisDep,
    passwords: PasswordsDep,
    attempts: AttemptsDep,
    address: AddressDep,
) -> Account:
    """A new account. Its welcome mail is sent soon, at least once, even if this process dies now."""
    await attempts.of_address(address)
    password_hash = await passwords.hash(wanted.password.get_secret_value())
    account = await accounts.create(postgres, wanted.email, password_hash)
    after.add_task(note_signup, redis, account)
    return account


async def note_signup(redis: Redis, account: Account) -> None:
    """Counts the day's new accounts. Lost if the process dies before, or Redis is away: nobody waits for it."""
    try:
        await redis.hincrby(SIGNUPS, account.created_at.date().isoformat(), 1)
    except (RedisError, OSError) as error:
        logger.warning("a signup was not counted: %s", error)
