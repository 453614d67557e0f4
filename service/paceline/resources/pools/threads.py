"""The pool `threads`: how many threads anyio lends at a time, which Starlette and FastAPI run sync routes in.

The application names nothing. anyio is imported only if the application has imported it.
"""

import asyncio
import logging
import math
import sys
from time import perf_counter
from typing import Any, Final, Protocol

from paceline.errors import PoolError
from paceline.resources.pools.driver import Driver, Member, verify
from paceline.resources.pools.limited_pool import put_in_front
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.time_spent import Kind, current

NAME: Final = "threads"
CAP: Final = 400
"""Ten times anyio's own 40; a thread that waits costs little, one that works competes with the event loop."""

DRIVER: Final = Driver(
    package="anyio",
    lowest="3.0",
    members=(
        Member(
            "acquire_on_behalf_of",
            parameters=("borrower",),
            asynchronous=True,
            callers=("anyio._backends._asyncio:CapacityLimiter.acquire",),
        ),
        Member("release_on_behalf_of", parameters=("borrower",)),
    ),
    links=(("anyio._backends._asyncio:CapacityLimiter.__aenter__", "acquire"),),
    reads=("total_tokens", "available_tokens", "borrowed_tokens", "statistics"),
)

logger = logging.getLogger("paceline.resources")


class _Registry(Protocol):
    def add_pool(self, pool: "ThreadPool") -> None: ...


class ThreadPool:
    """anyio's own limiter of this event loop, measured. A shrink waits for the calls that run; no thread is ended."""

    name = kind = NAME
    closed = False

    def __init__(self, limiter: Any) -> None:
        self.start_limit = int(limiter.total_tokens)
        self.cap = max(CAP, self.start_limit)
        self.wait, self.hold = Histogram(), Histogram()
        self._limiter = limiter
        self._base: Any = type(limiter)
        self._granted: dict[object, float] = {}

    def install(self) -> None:
        methods = {"acquire_on_behalf_of": self.acquire, "release_on_behalf_of": self.release}
        put_in_front(self._limiter, self, methods)

    def set_limit(self, limit: int) -> None:
        """See `TunablePool.set_limit`."""
        self._limiter.total_tokens = limit

    def report(self) -> dict[str, Any]:
        """See `TunablePool.report`. `open` are threads at work: those that idle belong to nobody."""
        return {
            "kind": self.kind,
            "limit": int(self._limiter.total_tokens),
            "cap": self.cap,
            "inUse": self._limiter.borrowed_tokens,
            "open": self._limiter.borrowed_tokens,
            "waiting": self._limiter.statistics().tasks_waiting,
            "timeouts": 0,
            "wait": self.wait.to_json(),
            "hold": self.hold.to_json(),
            "serverMaxConnections": None,
        }

    def sockets(self) -> tuple[()]:
        """None: it lends threads."""
        return ()

    async def acquire(self, borrower: object) -> None:
        """anyio's own acquire_on_behalf_of, with the wait recorded: 0 where a thread was free."""
        started = perf_counter() if self._limiter.available_tokens < 1 else 0.0
        await self._base.acquire_on_behalf_of(self._limiter, borrower)
        self._granted[borrower] = granted = perf_counter()
        self.wait.record_bounded(granted - started if started else 0.0)
        if started and (spent := current.get()) is not None:
            spent.note(Kind.WAIT, NAME, started, granted)

    def release(self, borrower: object) -> None:
        """anyio's own release_on_behalf_of, with the hold recorded."""
        granted = self._granted.pop(borrower, None)
        if granted is not None:
            self.hold.record_bounded(perf_counter() - granted)
        self._base.release_on_behalf_of(self._limiter, borrower)


def register_threads(registry: _Registry) -> None:
    """Makes the thread limiter of the running event loop a pool, once the application has started.

    Left out where anyio is not used, where its limiter has no bound, and where the application has a pool of that name.
    """
    if "anyio" not in sys.modules or asyncio.current_task() is None:
        return
    from anyio.to_thread import current_default_thread_limiter

    limiter = current_default_thread_limiter()
    if math.isinf(limiter.total_tokens) or limiter.total_tokens < 1:
        return
    try:
        verify(NAME, DRIVER, limiter)
        pool = ThreadPool(limiter)
        registry.add_pool(pool)
    except PoolError as error:
        logger.warning("threads are not tuned: %s", error)
        return
    pool.install()
