"""Signed tokens: short-lived, and revocable through Redis until they expire by themselves."""

from collections.abc import Callable, Sequence
from math import ceil
from time import time
from typing import Annotated, Final
from uuid import uuid4

import jwt
from jwt.types import Options
from paceline import tune
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from redis.asyncio import Redis

from paceline_api.client_settings import TokenSettings
from paceline_api.errors import InvalidToken
from paceline_api.verified_tokens import Claims, VerifiedTokens

__all__ = ["Claims", "Tokens", "build_tokens"]

_ALGORITHM: Final = "HS256"
_REVOKED: Final = "auth:revoked:"
_OPTIONS: Final[Options] = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
"""The library verifies the signature; what the payload may hold is said by `_Payload`."""
_LONGEST_CHARACTERS: Final = 2048  # ours have about 230; nobody's JSON is parsed deeper or longer than this
_UNREADABLE: Final = (jwt.PyJWTError, ValidationError, ValueError, TypeError, OverflowError, RecursionError)
"""What parsing raises, whatever a client sent as a token."""
_NOT_OURS: Final = "the token is not one of ours"
_CLOCK_SKEW_SECONDS: Final = 60  # between pods
LONGEST_LIFETIME_SECONDS: Final = 86_400


class _Payload(BaseModel):
    """Exactly what we issue: integers that are integers, an account that PostgreSQL can look up, and nothing else."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    sub: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,18}$")]
    iat: Annotated[int, Field(ge=0, lt=2**53)]
    exp: Annotated[int, Field(ge=0, lt=2**53)]
    jti: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


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
        self._known = VerifiedTokens()
        self._is_revoked = tune.batch(self._ask_which_are_revoked)

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
        if await self._is_revoked(claims.token_id):
            raise InvalidToken("the token was revoked")
        return claims

    async def revoke(self, claims: Claims) -> None:
        """Refuses the token from now on, everywhere. Redis forgets it when it has expired by the clocks of all pods."""
        seconds = ceil(claims.expires_at - self._clock()) + _CLOCK_SKEW_SECONDS
        if seconds > 0:
            await self._redis.set(_REVOKED + claims.token_id, b"", ex=seconds)

    async def _ask_which_are_revoked(self, token_ids: Sequence[str]) -> dict[str, bool]:
        values = await self._redis.mget([_REVOKED + token_id for token_id in token_ids])
        return {token_id: value is not None for token_id, value in zip(token_ids, values, strict=True)}

    def _verified(self, token: str) -> Claims:
        if len(token) > _LONGEST_CHARACTERS:
            raise InvalidToken(_NOT_OURS)
        now = self._clock()
        claims = self._known.claims_of(token, now)
        if claims is None:
            claims = self._verify(token, now)
            self._known.remember(token, claims)
        return claims

    def _verify(self, token: str, now: float) -> Claims:
        payload = self._payload(token)
        lifetime_seconds = payload.exp - payload.iat
        is_ours = 0 < lifetime_seconds <= LONGEST_LIFETIME_SECONDS and payload.iat <= now + _CLOCK_SKEW_SECONDS
        if not is_ours or int(payload.sub) >= 2**63:
            raise InvalidToken(_NOT_OURS)
        if payload.exp <= now:
            raise InvalidToken("the token has expired")
        return Claims(int(payload.sub), payload.jti, payload.exp)

    def _payload(self, token: str) -> _Payload:
        try:
            return _Payload.model_validate(jwt.decode(token, self._secret, algorithms=[_ALGORITHM], options=_OPTIONS))
        except _UNREADABLE as error:
            raise InvalidToken(_NOT_OURS) from error


def build_tokens(redis: Redis, settings: TokenSettings) -> Tokens | None:
    """None without a secret."""
    if settings.secret is None:
        return None
    return Tokens(settings.secret.get_secret_value(), redis, lifetime_seconds=settings.lifetime_seconds)
