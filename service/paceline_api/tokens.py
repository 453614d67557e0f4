"""Signed tokens: short-lived, and revocable through Redis until they expire by themselves."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import time
from typing import Final
from uuid import uuid4

import jwt
from jwt.types import Options
from redis.asyncio import Redis

from paceline_api.client_settings import TokenSettings
from paceline_api.errors import InvalidToken

_ALGORITHM: Final = "HS256"
_REVOKED: Final = "auth:revoked:"
_OPTIONS: Final[Options] = {"require": ["sub", "iat", "exp", "jti"], "verify_exp": False, "verify_iat": False}
"""Times are judged by the clock that was given; all else by the library."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once its signature was found right."""

    account_id: int
    token_id: str
    expires_at: int
    """Seconds since 1970."""


class Tokens:
    """Issues, reads and revokes tokens of one secret.

    Args:
        lifetime_seconds: how long a token is good for; how long somebody else's copy is, if nobody notices.
        clock: seconds since 1970.
    """

    def __init__(self, secret: str, redis: Redis, *, lifetime_seconds: int, clock: Callable[[], float] = time) -> None:
        self.lifetime_seconds = lifetime_seconds
        self._secret = secret
        self._redis = redis
        self._clock = clock

    def issue(self, account_id: int) -> str:
        """A new token for the account."""
        now = int(self._clock())
        claims = {"sub": str(account_id), "iat": now, "exp": now + self.lifetime_seconds, "jti": uuid4().hex}
        return jwt.encode(claims, self._secret, algorithm=_ALGORITHM)

    async def read(self, token: str) -> Claims:
        """What the token says.

        Raises:
            InvalidToken: forged, expired, revoked, or none of ours.
        """
        claims = self._verified(token)
        if await self._redis.exists(_REVOKED + claims.token_id):
            raise InvalidToken("the token was revoked")
        return claims

    async def revoke(self, claims: Claims) -> None:
        """Refuses the token from now on, everywhere. Redis forgets it when it would have expired anyhow."""
        seconds = ceil(claims.expires_at - self._clock())
        if seconds > 0:
            await self._redis.set(_REVOKED + claims.token_id, b"", ex=seconds)

    def _verified(self, token: str) -> Claims:
        try:
            found = jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options=_OPTIONS)
            claims = Claims(int(found["sub"]), found["jti"], int(found["exp"]))
        except (jwt.InvalidTokenError, ValueError) as error:
            raise InvalidToken("the token is not one of ours") from error
        if claims.expires_at <= self._clock():
            raise InvalidToken("the token has expired")
        return claims


def build_tokens(redis: Redis, settings: TokenSettings) -> Tokens | None:
    """None without a secret."""
    if settings.secret is None:
        return None
    return Tokens(settings.secret.get_secret_value(), redis, lifetime_seconds=settings.lifetime_seconds)
