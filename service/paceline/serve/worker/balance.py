"""Which worker should take the next connection: they tell each other how many they hold, in memory that all share.

The kernel wakes every worker for a new connection and the fastest takes it, so a busy machine leaves one worker with
most. A worker that is ahead of another gives that one a moment; a new worker is behind all others and catches up.
"""

import mmap
from collections.abc import Collection
from typing import Final

_BYTES: Final = 4
_EMPTY: Final = 0  # a slot holds the number of connections plus one


class Shares:
    """One slot a worker. Made in the arbiter before any fork."""

    def __init__(self, slots: int) -> None:
        self._slots = memoryview(mmap.mmap(-1, slots * _BYTES)).cast("I")

    def free_slot(self, taken: Collection[int]) -> int | None:
        """A slot that is not taken; None if all are: such a worker does not take part."""
        return next((slot for slot in range(len(self._slots)) if slot not in taken), None)

    def forget_all_but(self, taken: Collection[int]) -> None:
        """Empties the slots of workers that are gone; a killed one had no time to do it."""
        for slot, count in enumerate(self._slots):
            if count != _EMPTY and slot not in taken:
                self._slots[slot] = _EMPTY

    def hold(self, slot: int, connections: int) -> None:
        self._slots[slot] = connections + 1

    def leave(self, slot: int) -> None:
        """This worker takes no more connections."""
        self._slots[slot] = _EMPTY

    def others(self, slot: int) -> list[int]:
        """How many connections each other worker holds."""
        return [count - 1 for other, count in enumerate(self._slots) if count != _EMPTY and other != slot]


class Share:
    """One worker's view of the shares."""

    def __init__(self, shares: Shares, slot: int | None) -> None:
        self._shares = shares
        self.slot = slot

    def hold(self, connections: int) -> None:
        """Tells the others."""
        if self.slot is not None:
            self._shares.hold(self.slot, connections)

    def leave(self) -> None:
        """Tells the others that this worker takes no more."""
        if self.slot is not None:
            self._shares.leave(self.slot)

    def is_ahead(self, connections: int) -> bool:
        """Whether another worker should take the next connection."""
        return self.slot is not None and is_ahead(connections, self._shares.others(self.slot))


def is_ahead(mine: int, others: Collection[int]) -> bool:
    """Whether I hold clearly more connections than the worker with the fewest: by an eighth and at least two.

    Worked examples: 2 against [0, 5] yes; 1 against [0] no; 18 against [16] no; 19 against [16] yes.
    """
    fewest = min(others, default=mine)
    return mine > fewest + max(1, fewest // 8)
