"""The tier of a cache that all processes share. A failing Redis costs time once a second, never an answer."""

import asyncio
import logging
from collections.abc import Callable
from functools import cached_property
from time import monotonic
from typing import Final

from paceline.resources.cache.entry import Entry, Serializer, pack, unpack
from paceline.resources.registry import RedisClient

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 0.25
"""Longest that a call waits for Redis before it fetches by itself."""
RETRY_SECONDS: Final = 1.0
"""After a failure, how long Redis is left alone."""
MINIMUM_EXPIRY_SECONDS: Final = 3600


class RedisTier:
    """Entries under `paceline:<cache>:<key>`, without a TTL of their own: they are judged when they are read.

    Their expiry in Redis is generous (an hour at least), so that a TTL may grow later.
    """

    def __init__(
        self,
        name: str,
        client: Callable[[], RedisClient | None],
        serializer: Callable[[], Serializer],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._name = name
        self._client = client
        self._make_serializer = serializer
        self._clock = clock
        self._retry_at = 0.0

    @cached_property
    def _serializer(self) -> Serializer:
        """Made at the first use: an annotation may name a class that is defined further down in its module."""
        return self._make_serializer()

    @property
    def configured(self) -> bool:
        """Whether there is a client at the moment."""
        return self._client() is not None

    async def get(self, key: str) -> Entry | None:
        """The entry, whatever its age; None where there is none or Redis does not answer."""
        client = self._usable()
        if client is None:
            return None
        serializer = self._serializer
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                content = await client.get(self._full(key))
            return None if content is None else unpack(content, serializer)
        except Exception as error:
            self._failed("get", error)
            return None

    async def set(self, key: str, entry: Entry, keep_seconds: float) -> None:
        """Stores an entry for `keep_seconds`, or an hour if that is longer."""
        client = self._usable()
        if client is None:
            return
        expiry = int(max(MINIMUM_EXPIRY_SECONDS, keep_seconds))
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                await client.set(self._full(key), pack(entry, self._serializer), ex=expiry)
        except Exception as error:
            self._failed("set", error)

    async def delete(self, key: str) -> None:
        """Forgets an entry.

        Raises:
            Exception: what the client raises: a caller that must not see old data has to know.
        """
        client = self._client()
        if client is not None:
            await client.delete(self._full(key))

    def _full(self, key: str) -> str:
        return f"paceline:{self._name}:{key}"

    def _usable(self) -> RedisClient | None:
        return self._client() if self._clock() >= self._retry_at else None

    def _failed(self, verb: str, error: Exception) -> None:
        self._retry_at = self._clock() + RETRY_SECONDS
        reason = str(error) or type(error).__name__
        log.warning("cache %s: Redis %s failed, going on without it: %s", self._name, verb, reason)
