"""Passwords: argon2id, in threads, a few at a time, and as much work for a name that nobody has as for any other."""

import asyncio
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""OWASP's first choice. argon2-cffi's own default takes 64 MiB a hash, too much beside other workers in one pod."""

NOBODYS_HASH: Final = (
    "$argon2id$v=19$m=19456,t=2,p=1$O59KdYHgcvgh19GfcNEsEg$98Fz9J3MyoxmGu1g7W4BG2Ziwgw+jdUeQZ7CzFNJBMY"
)
"""Of a random password that was thrown away: it matches none, and takes as long to find that out."""


class Passwords:
    """Hashes and checks off the event loop.

    Args:
        at_once: hashes under way at a time; each takes a core and 19 MiB. Others wait their turn.
    """

    def __init__(self, at_once: int) -> None:
        self._turn = asyncio.Semaphore(at_once)

    async def hash(self, password: str) -> str:
        """The salted hash, parameters included."""
        async with self._turn:
            return await asyncio.to_thread(_HASHER.hash, _bytes(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """Whether it is the password; None stands for an account that there is not."""
        async with self._turn:
            return await asyncio.to_thread(_matches, password, password_hash or NOBODYS_HASH)


def _matches(password: str, password_hash: str) -> bool:
    try:
        return _HASHER.verify(password_hash, _bytes(password))
    except VerifyMismatchError:
        return False


def _bytes(password: str) -> bytes:
    """JSON may hold half a character, which UTF-8 does not know."""
    return password.encode("utf-8", "surrogatepass")
