"""Hears what other processes forget: one subscription of Redis for all caches of a process that share a client.

It is a connection of its own beside the client's pool and outside its limit; it is reported as the pool
`cache-invalidation`, of one connection, so that budgets can count it.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from math import inf
from time import monotonic
from typing import Any, Final
from weakref import WeakKeyDictionary

from paceline.resources.cache.memory import Memory
from paceline.resources.registry import Tunables
from paceline.telemetry.histogram import Histogram

log = logging.getLogger(__name__)

NAME: Final = "cache-invalidation"
CHANNEL: Final = "paceline:forget"
"""One for all namespaces: caches that share a client may have several."""
TIMEOUT_SECONDS: Final = 0.25
"""Longest that a call waits for Redis before it fetches by itself, and for the subscription when it is first opened."""
_PING_SECONDS: Final = 0.3
_SILENT_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 0.5


class Subscription:
    """Memories that follow it serve freely while it is confirmed: it was heard within the last second."""

    cap = start_limit = 1

    def __init__(self, name: str, client: Any) -> None:
        self.name = name
        self._pool: Any = getattr(client, "connection_pool", None)
        self._kind = next((each for each in type(client).__mro__ if each.__name__ in ("Redis", "Valkey")), None)
        self._memories: WeakKeyDictionary[Memory, tuple[str, str]] = WeakKeyDictionary()
        self._task: asyncio.Task[None] | None = None
        self._first: asyncio.Event = asyncio.Event()
        self._confirmed_until = -inf
        self._own: Any = None
        self._told = False

    async def follow(self, topic: str, sender: str, memory: Memory) -> None:
        """Passes what others than `sender` forget under a topic to a memory. Waits a moment where it just opens."""
        if memory not in self._memories:
            memory.heard_until = self._confirmed_until
            self._memories[memory] = (topic, sender)
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done() or self._task.get_loop() is not loop:
            self._heard(-inf)
            self._first = asyncio.Event()
            self._task = loop.create_task(self._run())
        if not self._first.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(TIMEOUT_SECONDS):
                    await self._first.wait()
            self._first.set()  # waited for once

    @property
    def closed(self) -> bool:
        return self._task is None or self._task.done()

    def set_limit(self, limit: int) -> None:
        """It has one connection, whatever a document says."""

    def report(self) -> dict[str, Any]:
        """See `TunablePool.report`."""
        is_open = len(list(self.sockets()))
        nothing = Histogram().to_json()
        return {
            **{"kind": "redis", "limit": 1, "cap": 1, "inUse": is_open, "open": is_open, "waiting": 0, "timeouts": 0},
            **{"wait": nothing, "hold": nothing, "serverMaxConnections": None},
        }

    def sockets(self) -> Iterable[Any]:
        """See `TunablePool.sockets`."""
        connection = getattr(self._own, "connection", None)
        writer = getattr(connection, "_writer", None)
        return [] if writer is None else [writer.transport]

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._hear()
                except Exception as error:
                    self._tell(error)
                self._heard(-inf)
                self._first.set()
                await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._heard(-inf)

    async def _hear(self) -> None:
        """One connection's life: what is heard keeps the memories free, a silent second does not."""
        client = self._client()
        try:
            async with client.pubsub() as self._own:
                await self._own.subscribe(CHANNEL)
                pinged = monotonic()
                while True:
                    message = await self._own.get_message(timeout=_PING_SECONDS)
                    if message is not None:
                        self._take(message)
                    if monotonic() - pinged >= _PING_SECONDS:
                        pinged = monotonic()
                        await self._own.ping()
        finally:
            self._own = None
            await client.aclose()
            await client.connection_pool.disconnect()

    def _client(self) -> Any:
        """A client like the one that was handed over, with one connection of its own, in no limited pool."""
        if self._kind is None or self._pool is None:
            raise TypeError("this client has no subscription that could be used")
        # The last of its name: `tune.pool` gives a limited pool a class of the same name in front of its own.
        pool = [each for each in type(self._pool).__mro__ if each.__name__ == "ConnectionPool"][-1]
        options = {**self._pool.connection_kwargs, "decode_responses": False}
        options.pop("max_connections", None)
        return self._kind(connection_pool=pool(self._pool.connection_class, 1, **options))

    def _take(self, message: Any) -> None:
        now = monotonic()
        if message["type"] == "subscribe" or now > self._confirmed_until:
            self._confirm()
        self._heard(now + _SILENT_SECONDS)
        if message["type"] == "message":
            sender, topic, key = message["data"].decode("utf-8", "surrogatepass").split(" ", 2)
            for memory, (followed, own) in [*self._memories.items()]:
                if followed == topic and own != sender:
                    memory.forget(key)

    def _confirm(self) -> None:
        """Also after silence, and after the driver connected anew: what was forgotten meanwhile is unknown."""
        for memory in [*self._memories]:
            memory.forget_all()
        self._first.set()
        self._told = False

    def _heard(self, until: float) -> None:
        self._confirmed_until = until
        for memory in [*self._memories]:
            memory.heard_until = until

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            reason = str(error) or type(error).__name__
            log.warning("caches serve for a second only from memory: no subscription to %s: %s", CHANNEL, reason)


def subscription(registry: Tunables, client: Any) -> Subscription:
    """The one of this client, made when it is first asked for."""
    found = registry.subscriptions.get(client)
    if isinstance(found, Subscription):
        return found
    name = NAME if not registry.subscriptions else f"{NAME}-{len(registry.subscriptions) + 1}"
    made = registry.subscriptions[client] = Subscription(name, client)
    registry.add_pool(made)
    return made
