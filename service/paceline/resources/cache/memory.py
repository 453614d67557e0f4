"""The tier of a cache in the process's memory. What was forgotten while it was fetched is not cached."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from math import inf
from time import monotonic
from typing import Final

from paceline.resources.cache.entry import Entry

LEASE_SECONDS: Final = 1.0
"""Where other processes may forget a key unheard, how long an entry is served from memory."""
_REMEMBERED: Final = 4096


class Memory:
    """Entries by key; the one unused longest makes room. Belongs to one event loop at a time.

    Args:
        forgotten: called with each key that is forgotten, with None for all of them.
    """

    def __init__(
        self,
        max_entries: int,
        clock: Callable[[], float] = monotonic,
        forgotten: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.heard_until = inf
        """On the clock: as long as other processes are heard, if there are any; later, entries are served for
        `LEASE_SECONDS` only. Not a flag that a timer sets: after a pause of the process, timers are late."""
        self.epoch = 0
        """Counts what was forgotten; read before a fetch begins."""
        self._max_entries = max_entries
        self._clock = clock
        self._tell = forgotten
        self._forgotten: OrderedDict[str, int] = OrderedDict()
        self._floor = 0
        """Fetches that began before this epoch are not cached, whatever their key."""

    def cache(self, key: str, entry: Entry, began: int) -> bool:
        """Takes an entry, unless its key was forgotten after the epoch in which it began to be fetched."""
        if self._forgotten.get(key, self._floor) > began or began < self._floor:
            return False
        self.entries[key] = replace(entry, cached_at=self._clock())
        self.entries.move_to_end(key)
        if len(self.entries) > self._max_entries:
            self.entries.popitem(last=False)
        return True

    def serves(self, entry: Entry) -> bool:
        """Whether an entry may be returned without asking Redis."""
        now = self._clock()
        return now <= self.heard_until or now - entry.cached_at <= LEASE_SECONDS

    def forget(self, key: str) -> None:
        """Drops an entry, and refuses what is being fetched for its key."""
        self.epoch += 1
        self._tell(key)
        self.entries.pop(key, None)
        self._forgotten[key] = self.epoch
        self._forgotten.move_to_end(key)
        if len(self._forgotten) > _REMEMBERED:
            _, self._floor = self._forgotten.popitem(last=False)

    def forget_all(self) -> None:
        """Drops all entries, and refuses all that is being fetched."""
        self.epoch += 1
        self._tell(None)
        self.entries.clear()
        self._forgotten.clear()
        self._floor = self.epoch

    def drop(self, key: str, entry: Entry) -> None:
        """Drops the entry, if it is still this one."""
        if self.entries.get(key) == entry:
            del self.entries[key]
