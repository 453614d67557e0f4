"""Caches values for a TTL that changes while it runs: in the process, and in Redis for all processes.

Knows no HTTP. An error is never cached. Not thread-safe: belongs to one event loop at a time.
"""

import asyncio
import logging
import math
import random
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any
from weakref import ref

from paceline.errors import UsageError
from paceline.resources.cache.entry import SURELY, Entry, NotCached, Verdict, judge
from paceline.resources.cache.flights import Flights
from paceline.resources.cache.lookup import Source, note_found
from paceline.resources.cache.memory import Memory
from paceline.resources.cache.other_ttls import OtherTtls
from paceline.resources.cache.redis import RedisTier
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.time_spent import OUTCOME, Kind, current, step

log = logging.getLogger(__name__)

Fetch = Callable[[], Awaitable[Any]]
Refresh = Callable[[], Fetch | None]
"""Gives what may fetch after its caller's request has ended; None: nothing may, the caller has to wait."""


_Landing = tuple[Entry, Source]


class Cache:
    """Two tiers, one fetch at a time per key and process.

    - Younger than the TTL: returned from memory; near the end, one process in turn fetches early, in the background.
    - Older, by no more than `max_staleness_seconds`: returned all the same, and fetched anew in the background, or by
      the one caller who noticed, where nothing may fetch in the background; where that fails, the old value stays.
    - Older still: everybody who asks waits for the same fetch.
    - TTL 0: every call fetches; a cached value only stands in when the fetch fails, up to `max_staleness_seconds`.

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
        self.note = ""
        """What `paceline check` says of it."""
        self.start_ttl_seconds = ttl_seconds
        self.ttl_seconds = ttl_seconds
        self._max_staleness = max_staleness_seconds
        self._redis = redis
        self._clock = clock
        self._draw = draw
        self._owner: ref[Any] | None = None
        self._flights: Flights[_Landing] = Flights()
        self._memory = Memory(max_entries, forgotten=self._flights.forget)
        self._entries = self._memory.entries
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
        `ghosts` counts, for other TTLs, which lookups of a sample would have found a value younger than that."""
        return {
            "ttlSeconds": self.ttl_seconds,
            "hits": self._hits,
            "misses": self._misses,
            "staleHits": self._stale_hits,
            "fetch": self._fetch_seconds.to_json(),
            "ghosts": self._ghosts.report(),
        }

    @property
    def closed(self) -> bool:
        """See `TunableCache.closed`: its function is gone."""
        return self._owner is not None and self._owner() is None

    def belongs_to(self, owner: Any) -> None:
        """Names the object without which nobody can use this cache."""
        self._owner = ref(owner)

    def age(self, key: str) -> float | None:
        """Seconds since the value in memory was fetched; None where there is none."""
        entry = self._entries.get(key)
        return None if entry is None else entry.age(self._clock())

    async def get(self, key: str, fetch: Fetch, refresh: Refresh | None = None) -> Any:
        """The value for `key`, from a tier or from `fetch`.

        Args:
            refresh: tells what may fetch in the background; without it `fetch` may.

        Raises:
            Exception: what `fetch` raises, where no cached value may stand in.
        """
        now = self._clock()
        if (entry := self.fresh(key, now)) is not None:
            return entry.value
        self._look(key, now)
        if self.ttl_seconds == 0:
            return await self._get_uncached(key, _held(fetch))
        entry = self._entries.get(key)
        if entry is None or (self._memory.heard_until < math.inf and not self._memory.serves(entry)):
            return await self._join(key, fetch, refresh)
        verdict = self._judge(entry, now, self._draw())
        if verdict is Verdict.EXPIRED:
            return await self._join(key, fetch, refresh)
        self._entries.move_to_end(key)
        if verdict is not Verdict.FRESH and self._must_wait(key, verdict, fetch, refresh):
            return await self._renew(key, entry, fetch, refresh)
        if verdict is Verdict.STALE:
            self._stale_hits += 1
        else:
            self._hits += 1
        if (spent := current.get()) is not None:
            note_found(spent, self.name, verdict)
        return entry.value

    def fresh(self, key: str, now: float) -> Entry | None:
        """The entry in memory, counted as a hit, if it is young enough that no draw would have it fetched anew; else
        None, and nothing is counted: `get` has to look. Most lookups end here."""
        entry, ttl = self._entries.get(key), self.ttl_seconds
        if entry is None or not ttl or now - entry.created_at >= ttl - SURELY * entry.fetch_seconds:
            return None
        if self._memory.heard_until < math.inf and not self._memory.serves(entry):
            return None
        self._look(key, now)
        self._entries.move_to_end(key)
        self._hits += 1
        if (spent := current.get()) is not None:
            note_found(spent, self.name, Verdict.FRESH)
        return entry

    def _look(self, key: str, now: float) -> None:
        ghosts = self._ghosts
        if not hash(key) & ghosts.mask:
            ghosts.look((key, now))

    async def forget(self, key: str) -> None:
        """Drops the value from both tiers; what began to be fetched or written before is cached nowhere.

        Raises:
            Exception: Redis could not be reached; other processes may still return it.
        """
        self._memory.forget(key)
        try:
            await self._redis.forget(key)
        finally:
            self._memory.forget(key)  # again: what was read from Redis meanwhile may be the old value

    async def _get_uncached(self, key: str, fetch: Fetch) -> Any:
        await self._redis.listen(self._memory)
        began = self._memory.epoch
        try:
            entry = await self._fetch(key, fetch)
        except Exception:
            cached = self._entries.get(key)
            if cached is None or cached.age(self._clock()) > self._max_staleness or not self._memory.serves(cached):
                self._misses += 1
                raise
            self._stale_hits += 1
            return cached.value
        self._misses += 1
        self._memory.cache(key, entry, began)
        return entry.value

    async def _join(self, key: str, fetch: Fetch, refresh: Refresh | None) -> Any:
        """Waits for the one fetch of this key, and counts what came of it."""
        with step(Kind.LOOKUP, self.name, expected=NotCached) as noted:
            noted[OUTCOME] = Source.FETCH.value
            try:
                entry, source = await self._flights.wait(
                    key, lambda: self._fly(key, _held(fetch)), lambda: refresh is not None and refresh() is None
                )
            except Exception:
                self._misses += 1
                raise
            noted[OUTCOME] = source.value
        self._hits += source is Source.REDIS
        self._stale_hits += source is Source.STALE
        self._misses += source is Source.FETCH
        return entry.value

    def _must_wait(self, key: str, verdict: Verdict, fetch: Fetch, refresh: Refresh | None) -> bool:
        """Fetches in the background where something may; else the first to see a stale value has to."""
        if self._flights.current(key) is not None:
            return False
        background = fetch if refresh is None else refresh()
        if background is None:
            return verdict is Verdict.STALE
        # An empty context: the variables of a finished request are as dead as its objects.
        self._flights.start(key, self._fly(key, _held(background)), Context()).add_done_callback(self._log_failure)
        return False

    async def _renew(self, key: str, entry: Entry, fetch: Fetch, refresh: Refresh | None) -> Any:
        """Fetches in place of a stale value, which stays if that fails."""
        try:
            return await self._join(key, fetch, refresh)
        except NotCached:
            raise
        except Exception as error:
            if self._entries.get(key) is not entry:
                raise
            self._misses, self._stale_hits = self._misses - 1, self._stale_hits + 1
            log.warning("cache %s: fetching anew failed, the cached value stays: %r", self.name, error)
            return entry.value

    async def _fly(self, key: str, fetch: Fetch) -> _Landing:
        await self._redis.listen(self._memory)
        began, cached = self._memory.epoch, self._entries.get(key)
        read = await self._redis.get(key)
        shared = read.entry
        newer = cached is None or not self._memory.serves(cached)
        if shared is not None and cached is not None and not newer and shared.created_at <= cached.created_at:
            shared = None
        verdict = Verdict.EXPIRED if shared is None else self._judge(shared, self._clock(), draw=1.0)
        if shared is not None and verdict is Verdict.FRESH:
            self._memory.cache(key, shared, began)
            return shared, Source.REDIS
        try:
            entry = await self._fetch(key, fetch)
        except Exception:
            if shared is None or verdict is Verdict.EXPIRED:
                raise
            return shared, Source.STALE
        if self._memory.cache(key, entry, began) and read.version is not None:
            self._share(key, entry, read.version)
        return entry, Source.FETCH

    async def _fetch(self, key: str, fetch: Fetch) -> Entry:
        created_at = self._clock()
        started = time.perf_counter()
        with step(Kind.FETCH, self.name, expected=NotCached):
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

    def _share(self, key: str, entry: Entry, version: bytes) -> None:
        """Writes to Redis behind the caller's back; the loop keeps only weak references to tasks, hence the set."""
        keep_seconds = 2 * max(self.ttl_seconds, self.start_ttl_seconds) + self._max_staleness
        task = asyncio.get_running_loop().create_task(self._write(key, entry, version, keep_seconds))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, key: str, entry: Entry, version: bytes, keep_seconds: float) -> None:
        if not await self._redis.set(key, entry, version, keep_seconds):
            self._memory.drop(key, entry)  # another process forgot it

    def _log_failure(self, flight: asyncio.Task[_Landing]) -> None:
        if not flight.cancelled() and (error := flight.exception()) is not None:
            log.warning("cache %s: fetching anew failed, the cached value stays: %r", self.name, error)


def _held(fetch: Fetch) -> Fetch:
    """As `Call.held`: what it is at this moment, before anything is awaited."""
    held: Callable[[], Fetch] | None = getattr(fetch, "held", None)
    return fetch if held is None else held()
