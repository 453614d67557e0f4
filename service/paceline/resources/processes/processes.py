"""`tune.processes`: CPU work in processes. Counts what this process asked for; an executor runs it."""

import asyncio
import os
from collections.abc import Callable
from time import perf_counter
from typing import Any, ParamSpec, Self, TypeVar

from paceline.document.model import PROCESSES
from paceline.errors import PoolError, PoolFull
from paceline.resources.processes.call import pack_call, unpack_result
from paceline.resources.processes.pool import ProcessPool
from paceline.resources.registry import Executor, ProcessPoolSettings
from paceline.telemetry.histogram import Histogram
from paceline.telemetry.time_spent import Kind, TimeSpent, current

P = ParamSpec("P")
R = TypeVar("R")


class Processes:
    """Runs functions in child processes; made by `tune.processes`."""

    kind = PROCESSES

    def __init__(
        self,
        name: str,
        *,
        limit: int,
        cap: int | None,
        queue: int,
        pod: Callable[[ProcessPoolSettings], Executor | None],
    ) -> None:
        self.name = name
        self.cap = max(limit, os.cpu_count() or 1) if cap is None else cap
        self.start_limit = self._limit = limit
        self.queue = queue
        if not 1 <= limit <= self.cap:
            raise PoolError(f"pool {name!r}: limit must be from 1 to the cap of {self.cap}, got {limit}")
        if queue < 0:
            raise PoolError(f"pool {name!r}: queue must be 0 or more calls, got {queue}")
        self._pod = pod
        self._executor: Executor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._in_use = self._waiting = self._refused = 0
        self._wait, self._hold = Histogram(), Histogram()

    async def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """What `function(*args, **kwargs)` returns or raises, run in a process of the pool.

        Cancel it, or put `asyncio.timeout` around it, and its process is killed with the work.

        Raises:
            UsageError: the function cannot be imported by another process, or an argument cannot be sent there.
            PoolFull: as many calls wait as may; nothing was begun.
            ProcessDied: the process ended before it returned.
        """
        if self._closed:
            raise PoolError(f"pool {self.name!r} is closed")
        packed = await self._counted(pack_call(function, args, kwargs))
        result: R = unpack_result(packed)
        return result

    async def _counted(self, call: bytes) -> bytes:
        executor = self._chosen()
        asked = perf_counter()
        began: float | None = None

        def started() -> None:
            nonlocal began
            began = perf_counter()
            self._waiting -= 1
            self._in_use += 1
            self._wait.record_bounded(began - asked)

        self._waiting += 1
        try:
            return await executor.run(call, started)
        except PoolFull:
            self._refused += 1
            raise
        finally:
            if began is None:
                self._waiting -= 1
            else:
                self._in_use -= 1
                self._hold.record_bounded(perf_counter() - began)
            if (spent := current.get()) is not None:
                _note(spent, self.name, asked, began, perf_counter())

    def _chosen(self) -> Executor:
        """The pod's pool under `paceline serve`, else one of this process's own; anew for each event loop."""
        if self._executor is None or not self._here():
            self._loop = asyncio.get_running_loop()
            self._executor = self._pod(self) or ProcessPool(self.name, self._limit, self.queue)
        return self._executor

    async def aclose(self) -> None:
        """Ends the processes that this process started, and gives the name back."""
        self._closed = True
        executor, self._executor = self._executor, None
        if executor is not None and self._here():
            await executor.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    @property
    def closed(self) -> bool:
        """See `TunablePool.closed`."""
        return self._closed

    def set_limit(self, limit: int) -> None:
        """See `TunablePool.set_limit`."""
        self._limit = limit
        if self._executor is not None and self._here():
            self._executor.set_limit(limit)

    def _here(self) -> bool:
        """Whether the executor belongs to the event loop that runs now; one of a former loop is abandoned with it."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def sockets(self) -> tuple[()]:
        """None: it lends processes."""
        return ()

    def report(self) -> dict[str, Any]:
        """See `TunablePool.report`: the limit of the pod, and what this process alone asked of it."""
        return {
            "kind": self.kind,
            "limit": self._limit,
            "cap": self.cap,
            "inUse": self._in_use,
            "open": self._in_use,
            "waiting": self._waiting,
            "timeouts": self._refused,
            "wait": self._wait.to_json(),
            "hold": self._hold.to_json(),
            "serverMaxConnections": None,
        }


def _note(spent: TimeSpent, name: str, asked: float, began: float | None, ended: float) -> None:
    spent.note(Kind.WAIT, name, asked, ended if began is None else began)
    if began is not None:
        spent.note(Kind.RUN, name, began, ended)
