"""Keeps answers for a TTL that changes while it runs: in the process, and in Redis for all processes.

Answers only; knows no HTTP. An error is never kept. Not thread-safe: belongs to one event loop at a time.
"""

import asyncio
import logging
import math
import random
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import Any

from paceline.errors import UsageError
from paceline.resources.cache.entry import Entry, NotCached, Verdict, judge
from paceline.resources.cache.other_ttls import OtherTtls
from paceline.resources.cache.redis import RedisTier
from paceline.telemetry.histogram import Histogram

log = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[Any]]


class _Source(Enum):
    """Where an answer that somebody waited for came from."""

    REDIS = auto()
    FETCH = auto()
    STALE = auto()


_Landing = tuple[Entry, _Source]


class Cache:
    """Two tiers, one fetch at a time per key and process.

    - Younger than the TTL: answered from memory; near the end, one process in turn fetches early, in the background.
    - Older, by no more than `max_staleness_seconds`: answered all the same, and fetched anew in the background; where
      that fails, the old answer stays.
    - Older still: everybody who asks waits for the same fetch.
    - TTL 0: every call fetches; a kept answer only stands in when the fetch fails, up to `max_staleness_seconds`.

    Raises:
        UsageError: a duration is negative or not a number, or `max_entries` is below 1.
    """

    def __init__(
        self,
        name: str,
        ttl_seconds: float,
        *,
        redis: RedisTier,
        max_staleness_seconds: float = 0.0,
        max_entries: int = 1024,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = lambda: 1.0 - random.random(),  # noqa: S311 - no secret
        origin: str = "",
    ) -> None:
        for what, seconds in (("ttl", ttl_seconds), ("max_staleness", max_staleness_seconds)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise UsageError(f"cache {name!r}: {what} must be a number of seconds, 0 or more, got {seconds!r}")
        if max_entries < 1:
            raise UsageError(f"cache {name!r}: max_entries must be at least 1, got {max_entries}")
        self.name = name
        self.origin = origin
        self.start_ttl_seconds = ttl_seconds
        self.ttl_seconds = ttl_seconds
        self._max_staleness = max_staleness_seconds
        self._max_entries = max_entries
        self._redis = redis
        self._clock = clock
        self._draw = draw
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._flights: dict[str, asyncio.Task[_Landing]] = {}
        self._writes: set[asyncio.Task[None]] = set()
        self._hits = 0
        self._misses = 0
        self._stale_hits = 0
        self._fetch_seconds = Histogram()
        self._ghosts = OtherTtls(ttl_seconds, max_entries)

    def set_ttl(self, seconds: float) -> None:
        """See `TunableCache.set_ttl`."""
        self.ttl_seconds = seconds

    def report(self) -> dict[str, Any]:
        """See `TunableCache.report`. A miss is a call that waited for a fetch; calls = hits + misses + staleHits.
        `ghosts` counts, for other TTLs, which lookups of a sample would have found an answer younger than that."""
        return {
            "ttlSeconds": self.ttl_seconds,
            "hits": self._hits,
            "misses": self._misses,
            "staleHits": self._stale_hits,
            "fetch": self._fetch_seconds.to_json(),
            "ghosts": self._ghosts.report(),
        }

    def age(self, key: str) -> float | None:
        """Seconds since the answer in memory was fetched; None where there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry.age(self._clock())

    async def get(self, key: str, fetch: Fetch) -> Any:
        """The answer for `key`, from a tier or from `fetch`.

        Raises:
            Exception: what `fetch` raises, where no kept answer may stand in.
        """
        now, ghosts = self._clock(), self._ghosts
        if not hash(key) & ghosts.mask:
            ghosts.look((key, now))
        if self.ttl_seconds == 0:
            return await self._get_uncached(key, fetch)
        entry = self._entries.get(key)
        verdict = Verdict.EXPIRED if entry is None else self._judge(entry, now, self._draw())
        if entry is None or verdict is Verdict.EXPIRED:
            return await self._join(key, fetch)
        self._entries.move_to_end(key)
        if verdict is Verdict.STALE:
            self._stale_hits += 1
        else:
            self._hits += 1
        if verdict is not Verdict.FRESH:
            self._refresh(key, fetch)
        return entry.value

    async def forget(self, key: str) -> None:
        """Drops the answer from both tiers; a fetch under way is not kept either.

        Raises:
            Exception: Redis could not be reached; other processes may still answer with it.
        """
        self._entries.pop(key, None)
        self._flights.pop(key, None)
        await self._redis.delete(key)

    async def _get_uncached(self, key: str, fetch: Fetch) -> Any:
        try:
            entry = await self._fetch(key, fetch)
        except Exception:
            kept = self._entries.get(key)
            if kept is None or kept.age(self._clock()) > self._max_staleness:
                self._misses += 1
                raise
            self._stale_hits += 1
            return kept.value
        self._misses += 1
        self._keep(key, entry)
        return entry.value

    async def _join(self, key: str, fetch: Fetch) -> Any:
        """Waits for the flight, shielded: one caller's cancellation must not take the answer from the others."""
        try:
            entry, source = await asyncio.shield(self._flight(key, fetch))
        except Exception:
            self._misses += 1
            raise
        self._hits += source is _Source.REDIS
        self._stale_hits += source is _Source.STALE
        self._misses += source is _Source.FETCH
        return entry.value

    def _refresh(self, key: str, fetch: Fetch) -> None:
        """Fetches in the background; the answer that is kept stays if that fails."""
        if key not in self._flights:
            self._flight(key, fetch).add_done_callback(self._log_failure)

    def _flight(self, key: str, fetch: Fetch) -> asyncio.Task[_Landing]:
        """The one task of this process that gets an answer for this key."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = asyncio.get_running_loop().create_task(self._fly(key, fetch))
            flight.add_done_callback(lambda done: self._landed(key, done))
        return flight

    async def _fly(self, key: str, fetch: Fetch) -> _Landing:
        kept, shared = self._entries.get(key), await self._redis.get(key)
        if shared is not None and kept is not None and shared.created_at <= kept.created_at:
            shared = None
        verdict = Verdict.EXPIRED if shared is None else self._judge(shared, self._clock(), draw=1.0)
        if shared is not None and verdict is Verdict.FRESH:
            self._keep(key, shared)
            return shared, _Source.REDIS
        try:
            entry = await self._fetch(key, fetch)
        except Exception:
            if shared is None or verdict is Verdict.EXPIRED:
                raise
            return shared, _Source.STALE
        if self._flights.get(key) is asyncio.current_task():  # else it was forgotten meanwhile
            self._keep(key, entry)
            self._share(key, entry)
        return entry, _Source.FETCH

    async def _fetch(self, key: str, fetch: Fetch) -> Entry:
        created_at = self._clock()
        started = time.perf_counter()
        try:
            value = await fetch()
        except NotCached:
            self._entries.pop(key, None)
            raise
        seconds = time.perf_counter() - started
        self._fetch_seconds.record_bounded(seconds)
        return Entry(value, created_at, seconds)

    def _judge(self, entry: Entry, now: float, draw: float) -> Verdict:
        return judge(entry, now, self.ttl_seconds, self._max_staleness, draw)

    def _keep(self, key: str, entry: Entry) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        if len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)

    def _share(self, key: str, entry: Entry) -> None:
        """Writes to Redis behind the caller's back; the loop keeps only weak references to tasks, hence the set."""
        if not self._redis.configured:
            return
        keep_seconds = 2 * max(self.ttl_seconds, self.start_ttl_seconds) + self._max_staleness
        task = asyncio.get_running_loop().create_task(self._redis.set(key, entry, keep_seconds))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    def _landed(self, key: str, flight: asyncio.Task[_Landing]) -> None:
        if self._flights.get(key) is flight:
            del self._flights[key]
        if not flight.cancelled():
            flight.exception()  # read here too: those who waited for it may be gone

    def _log_failure(self, flight: asyncio.Task[_Landing]) -> None:
        if not flight.cancelled() and (error := flight.exception()) is not None:
            log.warning("cache %s: fetching anew failed, the kept answer stays: %r", self.name, error)
