"""Counts what other TTLs would have given, on a sample of a cache's keys, remembered without their values.

A cache in miniature (Waldspurger, Saemundson, Ahmad, Park, "Cache Modeling and Optimization using Miniature
Simulations", USENIX ATC 2017): of few keys all are followed, of many a share chosen by hash, in as large a share of the
room. Looking at a key appends to a queue; `report` does the counting, once a second: so reading a cache stays cheap.
"""

from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Sequence
from math import inf
from typing import Any, Final

LADDER: Final = (1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 900, 1800, 3600)
"""Seconds; TTLs as people write them. Fixed, so that a pod's counters go on when its TTL moves, and pods agree."""
MOST_KEYS: Final = 256
"""Keys followed; beyond, the share is halved."""
MOST_QUEUED: Final = 16_384
"""Lookups between two reports; where nobody reports, or more come, the oldest are lost."""


class OtherTtls:
    """Counts for one cache, as `ghosts` in its report; belongs to the same event loop."""

    __slots__ = ("_hits", "_keys", "_misses", "_queue", "_room", "_ttls", "look", "mask")

    def __init__(self, start_ttl_seconds: float, max_entries: int) -> None:
        self._ttls = tuple(sorted({*LADDER, *([start_ttl_seconds] if start_ttl_seconds else [])}))
        self._room = max_entries
        self._hits = [0] * len(self._ttls)
        self._misses = [0] * len(self._ttls)
        self._queue: deque[tuple[str, float]] = deque(maxlen=MOST_QUEUED)
        # By key, the one unused longest first: when an entry under each TTL would have been fetched last.
        self._keys: OrderedDict[str, list[float]] = OrderedDict()
        self.mask = 0
        """A key is followed if its hash has none of these bits: a share of 1 / (mask + 1)."""
        self.look = self._queue.append
        """Takes (key, seconds) of a lookup of a followed key; a bound append, the cheapest call there is."""

    def report(self) -> list[dict[str, Any]]:
        """`[{"ttlSeconds", "hits", "misses"}]`, cumulative, by rising TTL; each TTL counts the same lookups."""
        self._fold()
        columns = zip(self._ttls, self._hits, self._misses, strict=True)
        return [{"ttlSeconds": ttl, "hits": hits, "misses": misses} for ttl, hits, misses in columns]

    def _fold(self) -> None:
        times: dict[str, list[float]] = {}
        for key, now in self._queue:
            times.setdefault(key, []).append(now)
        self._queue.clear()
        for key, lookups in times.items():
            if not hash(key) & self.mask:
                self._count(self._follow(key), lookups)

    def _follow(self, key: str) -> list[float]:
        fetched = self._keys.get(key)
        if fetched is None:
            fetched = self._keys[key] = [-inf] * len(self._ttls)
            self._make_room()
        else:
            self._keys.move_to_end(key)
        return fetched

    def _make_room(self) -> None:
        """Thins the sample out while the cache has room for more keys than are followed, else forgets as it does."""
        while len(self._keys) > MOST_KEYS and self._room // (self.mask + 1) > MOST_KEYS:
            self.mask = self.mask << 1 | 1
            self._keys = OrderedDict((key, kept) for key, kept in self._keys.items() if not hash(key) & self.mask)
        while len(self._keys) > max(1, self._room // (self.mask + 1)):
            self._keys.popitem(last=False)

    def _count(self, fetched: list[float], lookups: Sequence[float]) -> None:
        for rung, ttl in enumerate(self._ttls):
            at, position = fetched[rung], 0
            while (found := bisect_left(lookups, at + ttl, position)) < len(lookups):
                self._hits[rung] += found - position
                self._misses[rung] += 1
                at, position = lookups[found], found + 1
            self._hits[rung] += len(lookups) - position
            fetched[rung] = at
