"""Lends permits first come, first served, at most `limit` at a time; the limit moves while it runs.

Knows neither connections nor a tuning document. Not thread-safe: belongs to one event loop, but may be made before it.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Final

from paceline.errors import AcquireTimeout
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.time_spent import Kind, current

WAIT_AND_HOLD: Final = frozenset({Kind.WAIT, Kind.HOLD})
WAIT_ALONE: Final = frozenset({Kind.WAIT})


class Limiter:
    """Every operation is O(1). A permit is the moment it was granted, so that its hold time costs no bookkeeping.

    After any change either no permit is free or nobody waits; a cancelled or timed-out waiter never keeps a permit.
    """

    __slots__ = ("_clock", "_name", "_waiters", "hold", "in_use", "limit", "notes", "timeouts", "wait")

    def __init__(self, name: str, limit: int, clock: Callable[[], float] = perf_counter) -> None:
        self.limit = limit
        """Permits that may be checked out. After a shrink more may still be out; they are not given out again."""
        self.in_use = 0
        """Permits that are checked out."""
        self.timeouts = 0
        """Waiters that gave up because their timeout passed."""
        self.wait = Histogram()
        """Seconds until a permit was granted, or until the timeout; 0 where one was free."""
        self.hold = Histogram()
        """Seconds from grant to release."""
        self.notes: frozenset[Kind] = WAIT_AND_HOLD
        """Steps that it notes of the request under way; no HOLD where somebody else may give back."""
        self._name = name
        self._clock = clock
        # A deque would keep those who gave up until a permit comes back; removal from its middle is O(n).
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Tasks in the queue."""
        return len(self._waiters)

    def set_limit(self, limit: int) -> None:
        """Takes effect at once: more waiters are served, or none until enough permits came back."""
        self.limit = limit
        self._serve()

    async def acquire(self, timeout: float | None = None) -> float:
        """Waits for a permit; give the result to `release` exactly once.

        Raises:
            AcquireTimeout: none came free within `timeout` seconds.
        """
        if self.in_use < self.limit:  # then nobody waits
            self.in_use += 1
            self.wait.record_bounded(0.0)
            return self._clock()
        return await self._acquire_in_turn(timeout)

    def acquire_at_once(self) -> float | None:
        """A permit, if one is free."""
        if self.in_use >= self.limit:
            return None
        self.in_use += 1
        self.wait.record_bounded(0.0)
        return self._clock()

    def turn_away(self, error: Callable[[], Exception]) -> None:
        """Raises the error for all that wait: their pool was closed."""
        while self._waiters:
            turn, _ = self._waiters.popitem(last=False)
            if not turn.done() and not turn.get_loop().is_closed():
                turn.set_exception(error())

    def force(self) -> float:
        """A permit at once, whatever the limit: for what is in use already."""
        self.in_use += 1
        return self._clock()

    def release(self, granted: float) -> None:
        """Gives a permit back."""
        now = self._clock()
        self.hold.record_bounded(now - granted)
        if Kind.HOLD in self.notes and (spent := current.get()) is not None:
            spent.note(Kind.HOLD, self._name, granted, now)
        self._give_back()

    async def _acquire_in_turn(self, timeout: float | None) -> float:
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiters[turn] = None
        alarm = None if timeout is None else loop.call_later(timeout, self._give_up, turn, timeout)
        started = self._clock()
        try:
            await turn
        except asyncio.CancelledError:
            self._waiters.pop(turn, None)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._give_back()  # granted in the very moment of the cancellation
            raise
        finally:
            if alarm is not None:
                alarm.cancel()
            granted = self._clock()
            if Kind.WAIT in self.notes and (spent := current.get()) is not None:
                spent.note(Kind.WAIT, self._name, started, granted)
        self.wait.record_bounded(granted - started)
        return granted

    def _give_up(self, turn: asyncio.Future[None], timeout: float) -> None:
        if turn.done():
            return
        del self._waiters[turn]
        self.timeouts += 1
        self.wait.record_bounded(timeout)
        turn.set_exception(
            AcquireTimeout(
                f"pool {self._name!r}: no connection became free within {timeout:g} s "
                f"({self.in_use} in use, limit {self.limit}, {self.waiting} more waiting)"
            )
        )

    def _give_back(self) -> None:
        self.in_use -= 1
        self._serve()

    def _serve(self) -> None:
        while self._waiters and self.in_use < self.limit:
            turn, _ = self._waiters.popitem(last=False)
            if not turn.done() and not turn.get_loop().is_closed():
                self.in_use += 1
                turn.set_result(None)
