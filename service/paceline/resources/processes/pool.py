"""Runs packed calls in child processes: at most `limit` at a time, a bounded number waiting, first come, first served.

Belongs to one event loop. The limit moves while it runs: fewer take effect as calls end, more at once.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from paceline.errors import PoolFull
from paceline.resources.limiter import Limiter
from paceline.resources.processes.child import Child

T = TypeVar("T")

_LEAST_RETRY_SECONDS: Final = 1.0


class ProcessPool:
    """Children start when there is nobody idle to take a call, and stay until the limit falls below them."""

    def __init__(self, name: str, limit: int, queue: int) -> None:
        self._name = name
        self._queue = queue
        self._limiter = Limiter(name, limit)
        self._limiter.notes = frozenset()  # `Processes` does, wherever the pool is
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._tasks: set[asyncio.Task[Any]] = set()

    def set_limit(self, limit: int) -> None:
        """Takes effect at once for calls that wait; what runs above it may finish."""
        self._limiter.set_limit(limit)
        self._trim()

    async def run(self, call: bytes, started: Callable[[], None]) -> bytes:
        """The packed result of a packed call. Cancelled: the child is killed, and its place is free once it is gone.

        Args:
            call: packed by `call.pack_call`.
            started: called when the wait is over.

        Raises:
            PoolFull: as many calls wait as may.
            ProcessDied: the child ended before it returned.
        """
        limiter = self._limiter
        if limiter.in_use >= limiter.limit and limiter.waiting >= self._queue:
            raise PoolFull(
                f"pool {self._name!r}: all {limiter.limit} processes are busy and {limiter.waiting} calls wait, no"
                " more may; try again later or raise `queue`",
                self._retry_after_seconds(),
            )
        granted = await limiter.acquire()
        started()
        child = self._idle_child() or Child()
        self._busy.add(child)
        work = self._keep(self._work(child, call, granted))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            child.kill()
            raise

    async def aclose(self) -> None:
        """Kills what still runs; returns once every child is gone."""
        for child in self._busy:
            child.kill()
        while self._tasks:
            await asyncio.wait(self._tasks)
        for child in self._idle:
            await child.end()
        self._idle.clear()

    async def _work(self, child: Child, call: bytes, granted: float) -> bytes:
        """A task of its own: whoever waits for the result may leave, the permit comes back when the process is free."""
        try:
            return await child.call(call)
        finally:
            if not child.usable:
                await child.end()
            self._busy.discard(child)
            if child.usable:
                self._idle.append(child)
            self._limiter.release(granted)
            self._trim()

    def _idle_child(self) -> Child | None:
        """The one used last. One that died while it had nothing to do is no call's fault."""
        while self._idle:
            child = self._idle.pop()
            if child.usable:
                return child
            self._end(child)
        return None

    def _trim(self) -> None:
        while self._idle and len(self._idle) + len(self._busy) > self._limiter.limit:
            self._end(self._idle.pop(0))

    def _end(self, child: Child) -> None:
        _ = self._keep(child.end())

    def _keep(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        task.exception()  # nobody waits for the result of a call that was cancelled

    def _retry_after_seconds(self) -> float:
        """Until what waits now has begun: calls that wait x mean duration / limit. 8 of 2 s on 4 processes: 4 s."""
        hold = self._limiter.hold.to_json()
        mean = hold["sum"] / hold["count"] if hold["count"] else 0.0
        return max(_LEAST_RETRY_SECONDS, math.ceil(self._limiter.waiting * mean / self._limiter.limit))
