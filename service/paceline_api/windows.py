"""Counts in Redis, one fixed window per key, shared by all workers and pods. A window starts with its first hit.

Exact within a window: the script of `limits` adds and reads in one step, by the clock of Redis. Two windows back to
back may let twice the quota through within one length; a key that must never see that needs a moving window, at the
price of a list per key and of trusting the clocks of all pods.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from time import monotonic, time
from typing import Any, Final

from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from redis.asyncio import Redis

MAX_REMEMBERED: Final = 10_000
"""Keys whose window a worker remembers, so that a full one is refused without asking Redis again."""
_CLIENT: Final = {"redis": RedisStorage.DEPENDENCIES["redis"]}
_TTL_ROUNDING_SECONDS: Final = 0.5  # Redis says TTLs in whole seconds, to the nearest


@dataclass(frozen=True, slots=True)
class Quota:
    """At most `amount` hits in `window_seconds`, under a name that keeps its keys apart from those of others."""

    name: str
    amount: int
    window_seconds: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a hit: whether it was within the quota, how many are left, and when a new window starts."""

    admitted: bool
    remaining: int
    reset_seconds: int


@dataclass(frozen=True, slots=True)
class _Window:
    ends: float
    full: bool


def judge(quota: Quota, count: int, seconds_left: float) -> Verdict:
    """The verdict on the `count`-th hit of a window.

    >>> judge(Quota("api", 100, 60), 100, 12.3)
    Verdict(admitted=True, remaining=0, reset_seconds=13)
    """
    reset = min(max(1, ceil(seconds_left)), quota.window_seconds)
    return Verdict(count <= quota.amount, max(0, quota.amount - count), reset)


class _Storage(RedisStorage):
    """Looks only for the client that it is handed: else limits imports all that it knows, in every worker anew."""

    DEPENDENCIES = _CLIENT


class Windows:
    """The windows of one quota. Hits of a key that arrive while it is being counted are counted together by the next
    call: a client that floods costs Redis one call at a time, and none once its window is full.

    Args:
        redis: its pool is shared, and so are the pool's limits.
        clock: seconds that only grow.
    """

    def __init__(self, redis: Redis, quota: Quota, *, clock: Callable[[], float] = monotonic) -> None:
        self.quota = quota
        self._item = RateLimitItemPerSecond(quota.amount, quota.window_seconds, namespace=quota.name)
        # The `redis` extra of limits wants redis-py below 8; the scripts and four commands it uses are the same there.
        shared: dict[str, Any] = {"connection_pool": redis.connection_pool}  # allowed, but not in its annotation
        self._storage = _Storage("async+redis://", implementation="redispy", key_prefix="limits", **shared)
        self._clock = clock
        self._known: dict[str, _Window] = {}
        self._waiting: dict[str, list[asyncio.Future[Verdict]]] = {}
        self._counting: set[asyncio.Task[None]] = set()

    async def hit(self, key: str) -> Verdict:
        """Counts one. Raises what redis-py raises."""
        now = self._clock()
        known = self._window(key, now)
        if known is not None and known.full:
            return judge(self.quota, self.quota.amount + 1, known.ends - now)
        if key in self._waiting:  # it is being counted: the next call counts this one too
            verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
            self._waiting[key].append(verdict)
            return await verdict
        self._waiting[key] = []
        try:
            return (await self._add(key, 1))[0]
        finally:
            self._count_waiting(key)

    async def forget(self, key: str) -> None:
        """Starts a new window with the next hit."""
        self._known.pop(key, None)
        await self._storage.clear(self._item.key_for(key))

    def _count_waiting(self, key: str) -> None:
        """Counts those that came meanwhile; nobody waits for it but they."""
        if not self._waiting[key]:
            del self._waiting[key]
            return
        task = asyncio.create_task(self._count(key))
        self._counting.add(task)
        task.add_done_callback(self._counting.discard)

    async def _count(self, key: str) -> None:
        """Counts the hits that wait, all at once, until none does."""
        while hits := self._waiting[key]:
            self._waiting[key] = []
            try:
                verdicts = await self._add(key, len(hits))
            except Exception as error:
                _fail(hits, error)
            else:
                _answer(hits, verdicts)
        del self._waiting[key]

    async def _add(self, key: str, hits: int) -> list[Verdict]:
        now = self._clock()
        count = await self._storage.incr(self._item.key_for(key), self.quota.window_seconds, hits)
        ends = await self._end(key, count == hits, now)
        self._remember(key, _Window(ends, count >= self.quota.amount))
        return [judge(self.quota, each, ends - now) for each in range(count - hits + 1, count + 1)]

    async def _end(self, key: str, is_new: bool, now: float) -> float:
        if is_new:
            return now + self.quota.window_seconds
        known = self._window(key, now)
        if known is not None:
            return known.ends
        expiry = await self._storage.get_expiry(self._item.key_for(key))
        return now + max(0.0, expiry - time() - _TTL_ROUNDING_SECONDS)

    def _window(self, key: str, now: float) -> _Window | None:
        """The one under way, as far as this worker has seen it."""
        known = self._known.get(key)
        if known is not None and known.ends <= now:
            del self._known[key]
            return None
        return known

    def _remember(self, key: str, window: _Window) -> None:
        self._known[key] = window
        if len(self._known) > MAX_REMEMBERED:
            del self._known[next(iter(self._known))]


def _answer(hits: list["asyncio.Future[Verdict]"], verdicts: list[Verdict]) -> None:
    for hit, verdict in zip(hits, verdicts, strict=True):
        if not hit.done():  # its caller gave up
            hit.set_result(verdict)


def _fail(hits: list["asyncio.Future[Verdict]"], error: Exception) -> None:
    for hit in hits:
        if not hit.done():
            hit.set_exception(error)
