"""Open arrivals: every request is due at its time, whatever became of the requests before it.

Latency counts from the intended start, so a server that stalls cannot hide the requests it kept from being sent
("coordinated omission"). Worked example: 1000/s for 6 s against a server that stalls 0.5 s: the 500 requests due in the
stall (8.3 %) wait 0.5 to 0 s, so p95 is 0.2 s; timed from the actual send it would be under a millisecond.

Nothing is sent twice. A connection that the server closed between requests is reopened before the request is sent;
a request whose bytes were sent and got no response is a failure.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from paceline.load.connection import CLOSED, Connection
from paceline.load.results import Recorder, Summary, Window
from paceline.load.schedule import due_times
from paceline.load.target import Target

_TICK_SECONDS: Final = 0.001  # libuv's timers have no finer grain; latencies count from the due time all the same
_SWEEP_SECONDS: Final = 0.5
_IDLE_SECONDS: Final = 1.5  # servers close idle connections after 2 s and more; a request must not cross that close
_GOLDEN: Final = 0.618  # its multiples, modulo 1, fill [0, 1) evenly however many there are
TIMED_OUT: Final = "no response in time"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Without `seconds` the run goes on until `OpenLoop.stop`."""

    target: Target
    rate: float
    seconds: float | None = None
    connections: int = 64
    timeout_seconds: float = 30.0
    """A request without a response this long after its intended start is a failure."""
    connection_seconds: float | None = None
    """Connections older than this are replaced between requests, as load balancers do: only new connections reach a
    worker that was added later. None: they live as long as the server lets them."""
    seed: int | None = None
    """Of Poisson arrivals; None: all gaps are equal."""


class OpenLoop:
    """One run. Single use: `run()` once, `window()` as often as wanted meanwhile."""

    def __init__(self, plan: Plan, clock: Callable[[], float] = time.monotonic) -> None:
        self._plan = plan
        self._clock = clock  # not the loop's: uvloop's counts whole milliseconds
        self._loop = asyncio.get_running_loop()
        self._total = Recorder()
        self._recent = Recorder()
        self._recent_since = self._started = self._clock()
        self._idle: deque[Connection] = deque()
        self._busy: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._backlog: deque[float] = deque()
        self._due = self._sent_in_time = self._made = 0
        self._stopped = asyncio.Event()
        self._quiet = asyncio.Event()

    async def run(self) -> Summary:
        """Sends the whole plan, waits for the outstanding responses, closes every connection.

        Failed requests are counted, never raised. Cancelling it drops what is under way.
        """
        self._started = self._recent_since = self._clock()
        sweep = asyncio.create_task(self._sweep())
        try:
            await self._arrive()
            await self._drain()
        finally:
            sweep.cancel()
            self._close()
        return self._summary()

    def stop(self) -> None:
        """Nothing is sent after this, not even requests that wait for a connection; they are not part of the plan any
        more. `run()` returns once those on their way have their responses."""
        self._stopped.set()
        self._due -= len(self._backlog)
        self._backlog.clear()
        if not self.outstanding:
            self._quiet.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._stopped.is_set()

    def window(self) -> Window:
        """What happened since the last call."""
        now = self._clock()
        window = self._recent.window(now - self._recent_since)
        self._recent = Recorder()
        self._recent_since = now
        return window

    @property
    def outstanding(self) -> int:
        """Requests that are due and without a response."""
        return len(self._busy) + len(self._opening) + len(self._backlog)

    async def _arrive(self) -> None:
        plan = self._plan
        for offset in due_times(plan.rate, plan.seconds, plan.seed):
            due = self._started + offset
            late = await self._wait_until(due)
            if self._stopped.is_set():
                return
            self._due += 1
            self._total.delayed(late)
            self._recent.delayed(late)
            self._dispatch(due)

    async def _wait_until(self, due: float) -> float:
        """Returns how late it is by then; at once after `stop`."""
        while True:
            late = self._clock() - due
            if late >= 0 or self._stopped.is_set():
                return late
            await asyncio.sleep(max(-late, _TICK_SECONDS))

    def _dispatch(self, due: float) -> None:
        """Opens connections up to the plan's number first, then takes the one that is idle for longest: requests
        spread over all connections, and so over all workers of the server."""
        connection = self._idle_connection()
        if connection is not None:
            self._count_departure()
            self._send(connection, due)
        elif self._open_connections < self._plan.connections:
            self._count_departure()
            task = self._loop.create_task(self._open(due))
            self._opening.add(task)
            task.add_done_callback(self._opened)
        else:
            self._backlog.append(due)

    def _idle_connection(self) -> Connection | None:
        now = self._clock()
        while self._idle and self._idle[0].worn(now, _IDLE_SECONDS):
            self._idle.popleft().close()
        return self._idle.popleft() if self._open_connections >= self._plan.connections and self._idle else None

    @property
    def _open_connections(self) -> int:
        return len(self._busy) + len(self._opening) + len(self._idle)

    async def _open(self, due: float) -> None:
        target = self._plan.target
        left = due + self._plan.timeout_seconds - self._clock()
        try:
            async with asyncio.timeout(max(left, 0)):
                _, connection = await self._loop.create_connection(
                    lambda: Connection(self, self._expiry()), target.host, target.port, ssl=target.tls
                )
        except OSError as error:
            self._count_failure(f"cannot connect: {type(error).__name__}")
        else:
            if connection.closing:
                self._count_failure(CLOSED)
            else:
                self._send(connection, due)

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._next()

    def _send(self, connection: Connection, due: float) -> None:
        self._busy.add(connection)
        connection.send(self._plan.target.request, due)

    def _count_departure(self) -> None:
        seconds = self._plan.seconds
        if seconds is None or self._clock() <= self._started + seconds:
            self._sent_in_time += 1

    def _expiry(self) -> float:
        """Half to all of `connection_seconds` from now, spread evenly, so that they are not replaced all at once."""
        if self._plan.connection_seconds is None:
            return math.inf
        self._made += 1
        return self._clock() + self._plan.connection_seconds * (0.5 + self._made * _GOLDEN % 1 / 2)

    def responded(self, connection: Connection, due: float, status: int) -> None:
        self._busy.discard(connection)
        if 200 <= status < 300:
            latency = self._clock() - due
            self._total.succeeded(latency)
            self._recent.succeeded(latency)
        else:
            self._count_failure(f"HTTP {status}")
        if not connection.closing:
            connection.idle_since = self._clock()
            self._idle.append(connection)
        self._next()

    def failed(self, connection: Connection, due: float, kind: str) -> None:
        self._busy.discard(connection)
        self._count_failure(kind)
        self._next()

    def lost(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _count_failure(self, kind: str) -> None:
        self._total.failed(kind)
        self._recent.failed(kind)

    def _next(self) -> None:
        """A connection or a place for one became free: the oldest request that waits for one takes it."""
        if self._backlog:
            self._dispatch(self._backlog.popleft())
        elif not self.outstanding:
            self._quiet.set()

    async def _drain(self) -> None:
        while self.outstanding:
            self._quiet.clear()
            await self._quiet.wait()

    async def _sweep(self) -> None:
        """One timer for all requests is cheaper than a timer each."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            oldest = self._clock() - self._plan.timeout_seconds
            while self._backlog and self._backlog[0] < oldest:
                self._backlog.popleft()
                self._count_failure(TIMED_OUT)
            for connection in [one for one in self._busy if one.due is not None and one.due < oldest]:
                connection.give_up(TIMED_OUT)
            if not self.outstanding:
                self._quiet.set()

    def _close(self) -> None:
        for task in self._opening:
            task.cancel()
        for connection in (*self._idle, *self._busy):
            connection.close()

    def _summary(self) -> Summary:
        plan = self._plan
        counted = plan.seconds is None or plan.seed is not None or self.stopped
        planned = self._due if counted else sum(1 for _ in due_times(plan.rate, plan.seconds))
        return Summary(
            url=self._plan.target.url,
            rate=self._plan.rate,
            planned=planned,
            sent_in_time=self._sent_in_time,
            total=self._total.window(self._clock() - self._started),
            p90=self._total.percentile(90),
            p999=self._total.percentile(99.9),
            maximum=self._total.percentile(100),
        )
