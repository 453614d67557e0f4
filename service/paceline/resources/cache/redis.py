"""The tier of a cache that all processes share. A failing Redis costs time once a second, never a response."""

import asyncio
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import inf
from time import monotonic
from typing import Final
from urllib.parse import quote

from paceline.errors import UsageError
from paceline.resources.cache.entry import Entry, Serializer, pack, unpack
from paceline.resources.cache.fidelity import difference
from paceline.resources.cache.invalidation import CHANNEL, TIMEOUT_SECONDS, Subscription, subscription
from paceline.resources.cache.memory import Memory
from paceline.resources.cache.names import class_of_this_process
from paceline.resources.cache.scripts import FORGET, READ, WRITE, refused
from paceline.resources.cache.serializers import fingerprint
from paceline.resources.registry import RedisClient, Tunables

log = logging.getLogger(__name__)

RETRY_SECONDS: Final = 1.0
"""After connection trouble, how long Redis is left alone."""
MINIMUM_EXPIRY_SECONDS: Final = 3600
_MOST_OWED: Final = 10_000
_FORGET_SECONDS: Final = 5.0
_QUOTED: Final = re.compile(r" ?\[(?:type=\w+, )?input_value=.*")
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class Read:
    """What Redis said of a key before a fetch."""

    entry: Entry | None = None
    """Whatever its age."""
    version: bytes | None = None
    """Changes when the key is forgotten; None: Redis could not be asked, and nothing may be written."""


class RedisTier:
    """Entries under `paceline:{<namespace>:<cache>:<key>}:<fingerprint of the shape>`, judged when they are read.

    Beside each stands the version of its key, `…:version`: it goes when the key is forgotten, and what was fetched
    under another version is neither written nor read. Both expire after an hour at least, so that a TTL may grow later.
    """

    def __init__(
        self,
        name: str,
        client: Callable[[], RedisClient | None],
        serializer: Callable[[], Serializer],
        clock: Callable[[], float] = monotonic,
        *,
        registry: Tunables | None = None,
        namespace: str = "",
        meaning: str = "",
    ) -> None:
        """
        Args:
            registry: tells the namespace and counts the subscription; without it the tier has one of its own.
            namespace: where neither the registry nor the environment names one.
            meaning: whose keys these are and what they are made of; entries of another meaning are not read.
        """
        self._name = name
        self._client = client
        self._make_serializer = serializer
        self._clock = clock
        self._registry = Tunables() if registry is None else registry
        self._namespace = namespace
        self._meaning = meaning
        self._sender = os.urandom(8).hex()
        self._retry_at = self._warn_at = 0.0
        self._owed: OrderedDict[str, None] = OrderedDict()
        self._forgetting: set[asyncio.Task[None]] = set()

    @cached_property
    def _serializer(self) -> Serializer:
        """Made at the first use: an annotation may name a class that is defined further down in its module."""
        return self._make_serializer()

    @cached_property
    def _shape(self) -> str:
        return fingerprint(self._serializer, self._meaning)

    @property
    def configured(self) -> bool:
        """Whether there is a client at the moment."""
        return self._client() is not None

    async def listen(self, memory: Memory) -> None:
        """Sees to it that other processes' `forget` reaches this memory, or that it serves for a second only."""
        client = self._client()
        if client is None:
            memory.heard_until = inf
            return
        heard: Subscription = subscription(self._registry, client)
        await heard.follow(self._topic, self._sender, memory)

    async def get(self, key: str) -> Read:
        """What there is; nothing where Redis does not respond, or holds what no longer can be read."""
        client = self._usable()
        if client is None or self._is_of_this_process(key) or not await self._paid(key, client):
            return Read()
        serializer, version = self._serializer, os.urandom(16).hex()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                found = await client.eval(READ, 2, *self._keys(key), version, MINIMUM_EXPIRY_SECONDS)
            if isinstance(found[0], str):
                raise TypeError("the cache needs a Redis client without decode_responses=True")
        except Exception as error:
            self._failed("get", error)
            return Read()
        return Read(self._read(found[1], found[0], serializer), found[0])

    async def set(self, key: str, entry: Entry, version: bytes, keep_seconds: float) -> bool:
        """Stores an entry for `keep_seconds`, or an hour if that is longer.

        Returns:
            False, if the key was forgotten since the version was read; True also where Redis does not respond.
        """
        client = self._usable()
        if client is None or (content := self._written(entry, version)) is None:
            return True
        expiry = int(max(MINIMUM_EXPIRY_SECONDS, keep_seconds))
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return bool(await client.eval(WRITE, 2, *self._keys(key), version, content, expiry))
        except Exception as error:
            self._failed("set", error)
            return True

    async def forget(self, key: str) -> None:
        """Drops an entry, refuses what is being fetched for it anywhere, and tells the other processes.

        Raises:
            UsageError: the key means nothing to other processes, since it holds an object of a class that a function
                made; nothing of theirs is forgotten.
            Exception: what the client raises, TimeoutError after five seconds: a caller that must not see old data has
                to know. This process does not read the key from Redis until it could be dropped. A caller who is
                cancelled does not stop it.
        """
        client = self._client()
        if client is None:
            return
        if (kind := class_of_this_process(key)) is not None:
            raise UsageError(f"cache {self._name}: forgotten in this process alone: {_unknown_elsewhere(kind)}")
        self._owed[key] = None
        if len(self._owed) > _MOST_OWED:
            self._owed.popitem(last=False)
        task = asyncio.get_running_loop().create_task(self._forget(key, client))
        self._forgetting.add(task)
        task.add_done_callback(self._forgetting.discard)
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # its caller may be gone
        await asyncio.shield(task)

    async def _forget(self, key: str, client: RedisClient) -> None:
        message = f"{self._sender} {self._topic} {key}"
        async with asyncio.timeout(_FORGET_SECONDS):
            await client.eval(FORGET, 2, *self._keys(key), CHANNEL, message)
        self._owed.pop(key, None)

    @cached_property
    def _space(self) -> str:
        return quote(self._registry.namespace() or self._namespace or "default", safe="")

    @property
    def _topic(self) -> str:
        """What its messages are about."""
        return f"{self._space}:{quote(self._name, safe='')}"

    def _keys(self, key: str) -> tuple[str, str]:
        """The version's and the entry's; what stands in braces puts both on one node of a cluster."""
        prefix = f"paceline:{{{self._topic}:{key}}}"
        return f"{prefix}:version", f"{prefix}:{self._shape}"

    def _read(self, content: bytes | None, version: bytes, serializer: Serializer) -> Entry | None:
        try:
            return None if content is None else unpack(content, version, serializer)
        except Exception as error:
            self._warn("what is in Redis cannot be read and will be overwritten", error)
            return None

    def _written(self, entry: Entry, version: bytes) -> bytes | None:
        """The content, if the value comes back from it as it is."""
        try:
            content = pack(entry, version, self._serializer)
            back = unpack(content, version, self._serializer)
            lost = "the value comes back as nothing" if back is None else difference(entry.value, back.value)
            if lost is None:
                return content
            error: Exception = TypeError(f"{lost}; annotate the return type, or pass serializer= with dumps and loads")
        except Exception as failed:
            error = failed
        self._warn("the value is not shared through Redis", error)
        return None

    def _is_of_this_process(self, key: str) -> bool:
        """Whether other processes may mean something else by a key; then nothing is read and nothing written."""
        if (kind := class_of_this_process(key)) is None:
            return False
        self._warn("the value is not shared through Redis", UsageError(_unknown_elsewhere(kind)))
        return True

    async def _paid(self, key: str, client: RedisClient) -> bool:
        """Whether nothing is left to forget that Redis did not hear of."""
        if key in self._owed:
            try:
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._forget(key, client)
            except Exception as error:
                self._failed("forget", error)
        return key not in self._owed

    def _usable(self) -> RedisClient | None:
        return self._client() if self._clock() >= self._retry_at else None

    def _failed(self, verb: str, error: Exception) -> None:
        if not refused(error):
            self._retry_at = self._clock() + RETRY_SECONDS
        self._warn(f"Redis {verb} failed, going on without it", error)

    def _warn(self, what: str, error: Exception) -> None:
        if self._clock() >= self._warn_at:
            self._warn_at = self._clock() + RETRY_SECONDS
            log.warning("cache %s: %s: %s", self._name, what, _reason(error))


def _unknown_elsewhere(kind: str) -> str:
    return (
        f"other processes may know another class as {kind}, which its module does not have; define it at the top level "
        "of its module, or name the fields that matter: key='…:{argument.field}'"
    )


def _reason(error: Exception) -> str:
    """On one line, without the values that pydantic quotes: a log must not hold what is cached."""
    text = _QUOTED.sub("", " ".join(str(error).split())) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}…"
