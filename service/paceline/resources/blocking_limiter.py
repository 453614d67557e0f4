"""The limiter for pools that threads take connections from: they block, first come, first served. Thread-safe."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from time import perf_counter
from typing import Any

from paceline.errors import AcquireTimeout
from paceline.telemetry.histogram import MOST_FRESH, Histogram
from paceline.telemetry.time_spent import Kind, current


class LockedHistogram(Histogram):
    """A histogram that threads record in."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self.record = self.record_bounded

    def record_bounded(self, value: float) -> None:
        """Under the lock: no fold may lose it, and two at a time would count twice."""
        with self._lock:
            self._fresh.append(value)
            if len(self._fresh) >= MOST_FRESH:
                self.fold()

    def to_json(self) -> dict[str, Any]:
        """See `Histogram.to_json`."""
        with self._lock:
            return super().to_json()


class BlockingLimiter:
    """As `Limiter`, whose attributes it has, for threads. A permit is the moment it was granted."""

    def __init__(self, name: str, limit: int, clock: Callable[[], float] = perf_counter) -> None:
        self.limit = limit
        self.in_use = 0
        self.timeouts = 0
        self.wait: Histogram = LockedHistogram()
        self.hold: Histogram = LockedHistogram()
        self._name = name
        self._clock = clock
        self._lock = threading.Lock()
        # Each waiter sleeps on a lock of its own, which is released to wake it: nobody is woken in vain.
        self._waiters: OrderedDict[int, threading.Lock] = OrderedDict()
        self._tickets = 0
        self._turned_away: dict[int, Exception] = {}

    @property
    def waiting(self) -> int:
        """Threads in the queue."""
        return len(self._waiters)

    def set_limit(self, limit: int) -> None:
        """Takes effect at once: more waiters are served, or none until enough permits came back."""
        with self._lock:
            self.limit = limit
            self._serve()

    def acquire(self, timeout: float | None = None) -> float:
        """Blocks until a permit is granted; give the result to `release` exactly once.

        Raises:
            AcquireTimeout: none came free within `timeout` seconds.
        """
        with self._lock:
            if self.in_use < self.limit:  # then nobody waits
                self.in_use += 1
                self.wait.record(0.0)
                return self._clock()
            self._tickets += 1
            ticket, turn = self._tickets, threading.Lock()
            turn.acquire()
            self._waiters[ticket] = turn
        started = self._clock()
        try:
            granted = turn.acquire(timeout=-1 if timeout is None else max(0.0, timeout))
        except BaseException:  # interrupted by a signal handler that raises
            self._withdraw(ticket, give_back=True)
            raise
        if self._turned_away and (error := self._turned_away.pop(ticket, None)) is not None:
            raise error
        if not granted and self._withdraw(ticket):
            self._waited(started, self._clock())
            raise self._timed_out(timeout or 0.0)
        now = self._clock()
        self._waited(started, now)
        return now

    def release(self, granted: float) -> None:
        """Gives a permit back."""
        now = self._clock()
        self.hold.record(now - granted)
        if (spent := current.get()) is not None:
            spent.note(Kind.HOLD, self._name, granted, now)
        with self._lock:
            self._give_back()

    def turn_away(self, error: Callable[[], Exception]) -> None:
        """Raises the error for all that wait: their pool was closed."""
        with self._lock:
            for ticket, turn in self._waiters.items():
                self._turned_away[ticket] = error()
                turn.release()
            self._waiters.clear()

    def _waited(self, started: float, now: float) -> None:
        self.wait.record(now - started)
        if (spent := current.get()) is not None:
            spent.note(Kind.WAIT, self._name, started, now)

    def _withdraw(self, ticket: int, *, give_back: bool = False) -> bool:
        """Leaves the queue; False if the permit was granted meanwhile, which `give_back` returns."""
        with self._lock:
            if self._waiters.pop(ticket, None) is not None:
                self.timeouts += not give_back
                return True
            if give_back and self._turned_away.pop(ticket, None) is None:
                self._give_back()
            return False

    def _timed_out(self, timeout: float) -> AcquireTimeout:
        return AcquireTimeout(
            f"pool {self._name!r}: no connection became free within {timeout:g} s "
            f"({self.in_use} in use, limit {self.limit}, {self.waiting} more waiting)"
        )

    def _give_back(self) -> None:
        self.in_use -= 1
        self._serve()

    def _serve(self) -> None:
        while self._waiters and self.in_use < self.limit:
            _, turn = self._waiters.popitem(last=False)
            self.in_use += 1
            turn.release()
