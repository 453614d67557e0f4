"""Counts in Redis, one fixed window per key, shared by all workers and pods. A window starts with its first hit.

Exact within a window: the script of `limits` adds and reads in one step, by the clock of Redis. Two windows back to
back may let twice the quota through within one length; a key that must never see that needs a moving window, at the
price of a list per key and of trusting the clocks of all pods.
"""

import asyncio
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from math import ceil
from time import monotonic
from typing import Final, TypeAlias

from limits import RateLimitItemPerSecond
from limits.aio.storage.redis.bridge import RedisBridge
from redis.asyncio import Redis
from redis.exceptions import NoScriptError

MAX_REMEMBERED: Final = 10_000
"""Keys whose window a worker remembers, so that a full one is refused without asking Redis again."""
_PREFIX: Final = "limits"


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


Waiting: TypeAlias = "dict[str, list[asyncio.Future[Verdict]]]"


def judge(quota: Quota, count: int, seconds_left: float) -> Verdict:
    """The verdict on the `count`-th hit of a window.

    >>> judge(Quota("api", 100, 60), 100, 12.3)
    Verdict(admitted=True, remaining=0, reset_seconds=13)
    """
    reset = min(max(1, ceil(seconds_left)), quota.window_seconds)
    return Verdict(count <= quota.amount, max(0, quota.amount - count), reset)


class Windows:
    """The windows of one quota. Hits that arrive while others are being counted are counted together by the next call,
    whosever they are: many at once cost Redis one call at a time, and a key whose window is full none.

    Args:
        redis: its pool is shared, and so are the pool's limits.
        clock: seconds that only grow.
    """

    def __init__(self, redis: Redis, quota: Quota, *, clock: Callable[[], float] = monotonic) -> None:
        self.quota = quota
        self._item = RateLimitItemPerSecond(quota.amount, quota.window_seconds, namespace=quota.name)
        self._redis = redis
        self._increase = redis.register_script(RedisBridge.SCRIPT_INCR_EXPIRE)
        self._clock = clock
        self._known: dict[str, _Window] = {}
        self._waiting: Waiting = {}
        self._counting: asyncio.Task[None] | None = None

    async def hit(self, key: str) -> Verdict:
        """Counts one. Raises what redis-py raises."""
        now = self._clock()
        known = self._window(key, now)
        if known is not None and known.full:
            return judge(self.quota, self.quota.amount + 1, known.ends - now)
        verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(key, []).append(verdict)
        if self._counting is None or self._counting.done():
            self._counting = asyncio.create_task(self._count())
        return await verdict

    async def forget(self, key: str) -> None:
        """Starts a new window with the next hit."""
        self._known.pop(key, None)
        await self._redis.delete(self._name(key))

    async def _count(self) -> None:
        """Counts the hits that wait, all at once, until none does."""
        while hits := self._waiting:
            self._waiting = {}
            try:
                verdicts = await self._add({key: len(each) for key, each in hits.items()})
            except Exception as error:
                _fail(hits, error)
            except asyncio.CancelledError:  # the application stops: nobody must wait for ever
                _fail(hits, ConnectionError("counting was cancelled"))
                raise
            else:
                _resolve(hits, verdicts)
        self._counting = None

    async def _add(self, hits: Mapping[str, int]) -> dict[str, list[Verdict]]:
        """The verdicts on so many hits of each key, in one round trip."""
        now = self._clock()
        ends = {key: window.ends for key in hits if (window := self._window(key, now)) is not None}
        try:
            replies = await self._ask(hits, ends)
        except NoScriptError:  # Redis has started anew
            await self._redis.script_load(self._increase.script)
            replies = await self._ask(hits, ends)
        verdicts = {}
        for key, number in hits.items():
            count, end = next(replies), ends[key] if key in ends else now + max(0, next(replies)) / 1000
            self._remember(key, _Window(end, count >= self.quota.amount))
            verdicts[key] = [judge(self.quota, each, end - now) for each in range(count - number + 1, count + 1)]
        return verdicts

    async def _ask(self, hits: Mapping[str, int], known: Container[str]) -> Iterator[int]:
        """Of each key its count, and where its window is not known the milliseconds that are left of it."""
        async with self._redis.pipeline(transaction=False) as pipeline:
            for key, number in hits.items():
                name = self._name(key)
                await pipeline.evalsha(self._increase.sha, 1, name, self.quota.window_seconds, number)
                if key not in known:
                    await pipeline.pttl(name)
            return iter(await pipeline.execute())

    def _name(self, key: str) -> str:
        return f"{_PREFIX}:{self._item.key_for(key)}"

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


def _resolve(hits: Waiting, verdicts: Mapping[str, list[Verdict]]) -> None:
    for key, waiting in hits.items():
        for hit, verdict in zip(waiting, verdicts[key], strict=True):
            if not hit.done():  # its caller gave up
                hit.set_result(verdict)


def _fail(hits: Waiting, error: Exception) -> None:
    for hit in chain.from_iterable(hits.values()):
        if not hit.done():
            hit.set_exception(error)
