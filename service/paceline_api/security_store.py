"""The Redis that holds revoked tokens and attempts to sign in: it must never evict a key.

A server with `maxmemory` and any policy but `noeviction` makes room for new keys by dropping old ones. Whoever may
store something there can then push a revocation out, and a logged-out token works again. So the server's policy is
read before it is relied on, and again every half minute; while it may evict, nobody signs in and no token is accepted.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from paceline_api.errors import NotConfigured

_KEEPS_ALL: Final = "noeviction"
_VALID_SECONDS: Final = 30.0
"""How long a policy that was read counts."""
_START_SECONDS: Final = 1.0

logger = logging.getLogger(__name__)


def evicting_policy(memory: Mapping[Any, Any]) -> str | None:
    """The policy by which a server drops keys; None: it keeps all of them. Takes INFO's or CONFIG's names.

    >>> evicting_policy({"maxmemory": 134217728, "maxmemory_policy": "allkeys-lru"})
    'allkeys-lru'
    >>> evicting_policy({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}) is None
    True

    Raises:
        KeyError: it says nothing about either.
    """
    policy = str(memory["maxmemory_policy"] if "maxmemory_policy" in memory else memory["maxmemory-policy"])
    return policy if int(memory["maxmemory"]) and policy != _KEEPS_ALL else None


class SecurityStore:
    """Says whether `redis` may be relied on.

    Args:
        variable: the environment variable that the address came from, for messages.
        clock: seconds that only grow.
    """

    def __init__(self, redis: Redis, variable: str, *, clock: Callable[[], float] = monotonic) -> None:
        self._redis = redis
        self._variable = variable
        self._clock = clock
        self._valid_until = float("-inf")
        self._evicts_by: str | None = None
        self._is_silent = False

    async def look(self) -> None:
        """Reads the policy when the application starts, so that the log tells before a client does."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._read()
        except (RedisError, OSError) as error:
            text = "the Redis of %s cannot be asked yet whether it evicts keys: %s: %s"
            logger.warning(text, self._variable, type(error).__name__, error)

    async def require(self) -> None:
        """Returns if no key is evicted, as far as the server lets us know.

        Raises:
            NotConfigured: it may evict keys.
            RedisError, OSError: it cannot be asked.
        """
        if self._clock() >= self._valid_until:
            await self._read()
        if self._evicts_by is not None:
            raise NotConfigured(
                f"nobody can sign in: the Redis of {self._variable} may evict keys; set SECURITY_REDIS_URL to a server"
                f" with maxmemory-policy {_KEEPS_ALL}"
            )

    async def _read(self) -> None:
        before, self._evicts_by = self._evicts_by, await self._policy()
        self._valid_until = self._clock() + _VALID_SECONDS
        if self._evicts_by is not None and before is None:
            text = (
                "the Redis of %s evicts keys (maxmemory-policy %s), revoked tokens among them: nobody can sign in and"
                " no token is accepted until SECURITY_REDIS_URL names a server with maxmemory-policy %s"
            )
            logger.error(text, self._variable, self._evicts_by, _KEEPS_ALL)
        elif self._evicts_by is None and before is not None:
            logger.info("the Redis of %s evicts no keys any more: signing in works again", self._variable)

    async def _policy(self) -> str | None:
        for ask in (self._info, self._config):
            try:
                return evicting_policy(await ask())
            except (ResponseError, KeyError):
                continue
        if not self._is_silent:
            self._is_silent = True
            text = "the Redis of %s permits neither INFO nor CONFIG GET: make sure that its maxmemory-policy is %s"
            logger.warning(text, self._variable, _KEEPS_ALL)
        return None

    def _info(self) -> Awaitable[Mapping[Any, Any]]:
        return self._redis.info("memory")

    def _config(self) -> Awaitable[Mapping[Any, Any]]:
        return self._redis.config_get("maxmemory*")
