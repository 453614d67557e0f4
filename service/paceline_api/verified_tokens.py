"""Tokens whose signature was found right, remembered until they expire: checking one costs as much as a request.

Whether a token was revoked is no part of it: that is asked each time.
"""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

MOST_REMEMBERED: Final = 10_000  # about 4 MB


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says, once its signature was found right."""

    account_id: int
    token_id: str
    expires_at: int
    """Seconds since 1970."""


class VerifiedTokens:
    """Of one secret: with another one, start with another memory. Tokens themselves are not kept, only digests."""

    def __init__(self, most: int = MOST_REMEMBERED) -> None:
        self._most = most
        self._claims: dict[bytes, Claims] = {}

    def claims_of(self, token: str, now: float) -> Claims | None:
        """What was remembered of it; None if that was nothing, or it has expired since."""
        digest = _digest(token)
        claims = self._claims.get(digest)
        if claims is not None and claims.expires_at <= now:
            del self._claims[digest]
            return None
        return claims

    def remember(self, token: str, claims: Claims) -> None:
        """Forgets the one that has been there longest if there are too many."""
        self._claims[_digest(token)] = claims
        if len(self._claims) > self._most:
            del self._claims[next(iter(self._claims))]


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
