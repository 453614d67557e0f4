"""Signing in: attempts are counted before a password is looked at, per account and per client address."""

from dataclasses import dataclass
from hashlib import sha256

import asyncpg
from redis.asyncio import Redis

from paceline_api import accounts
from paceline_api.accounts import Account
from paceline_api.client_settings import SignInSettings
from paceline_api.errors import InvalidCredentials, TooManyRequests
from paceline_api.passwords import Passwords
from paceline_api.windows import Quota, Windows


@dataclass(frozen=True)
class Attempts:
    """How many passwords may be tried. Without Redis nobody signs in: who guesses would have a free hand.

    The limit per account also stops guesses from many addresses; its price is that a stranger can keep an owner out for
    one window. Signing in clears it.
    """

    per_account: Windows
    per_address: Windows

    async def of_address(self, address: str) -> None:
        """Counts one that costs a hash, from this address.

        Raises:
            TooManyRequests: it was one too many.
        """
        await _count(self.per_address, address)

    async def of_account(self, email: str) -> None:
        """Counts one for this account, whether it exists or not.

        Raises:
            TooManyRequests: it was one too many.
        """
        await _count(self.per_account, _account_key(email))

    async def succeeded(self, email: str) -> None:
        """Forgets the account's attempts."""
        await self.per_account.forget(_account_key(email))


def build_attempts(redis: Redis, settings: SignInSettings) -> Attempts:
    """The limits of passwords tried."""
    seconds = settings.window_seconds
    return Attempts(
        per_account=Windows(redis, Quota("account", settings.attempts_per_account, seconds)),
        per_address=Windows(redis, Quota("address", settings.attempts_per_address, seconds)),
    )


async def sign_in(
    postgres: asyncpg.Pool, passwords: Passwords, attempts: Attempts, *, email: str, password: str, address: str
) -> Account:
    """The account whose password this is.

    Raises:
        InvalidCredentials: no such account, or another password; which one is not told, nor seen by the clock.
        TooManyRequests: after too many attempts.
    """
    await attempts.of_address(address)
    await attempts.of_account(email)
    account = await accounts.by_email(postgres, email)
    matches = await passwords.matches(password, None if account is None else account.password_hash)
    if account is None or not matches:
        raise InvalidCredentials("no account has this email and password")
    await attempts.succeeded(email)
    return account


async def _count(windows: Windows, key: str) -> None:
    verdict = await windows.hit(key)
    if not verdict.admitted:
        retry = {"Retry-After": str(verdict.reset_seconds)}
        raise TooManyRequests(f"too many attempts; try again in {verdict.reset_seconds} s", retry)


def _account_key(email: str) -> str:
    """Of one length, whatever somebody typed."""
    return sha256(email.encode("utf-8", "surrogatepass")).hexdigest()
