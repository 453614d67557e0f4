"""One supervised, jittered loop per policy: woken by events, backing off after failures, never dead.

It knows nothing of policies but their keys; what a pass does is the reconciler's business.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from datetime import timedelta
from typing import Final, Protocol

from paceline_operator.ports import PlatformUnavailable, PolicyKey

logger = logging.getLogger(__name__)

SHORTEST_GAP: Final = timedelta(milliseconds=50)
"""Between two passes of one policy, so that a burst of events costs a few passes, not one each."""
JITTERED_FROM: Final = timedelta(seconds=2)
"""Shorter waits are polls and come on time; longer ones are spread so that policies do not act in step."""
JITTER: Final = 0.1


class Reconcile(Protocol):
    """What the supervisor runs; `Reconciler` fulfils it."""

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """One pass; returns when to come again. A set `woken` asks it to stop waiting for acks; `called` says whether
        an event asked for the pass, and not the time. Where the policy is gone, it drops what is remembered of it."""


class LoopSupervisor:
    """Owns a task per policy. `wake` and `forget` may be called before `run`, from the same event loop."""

    def __init__(
        self,
        reconciler: Reconcile,
        *,
        retry: timedelta = timedelta(seconds=1),
        retry_max: timedelta = timedelta(seconds=60),
        random: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        """`random` gives numbers in [0, 1), `clock` monotonic seconds."""
        self._reconciler = reconciler
        self._retry = retry
        self._retry_max = retry_max
        self._random = random
        self._clock = clock
        self._woken: dict[PolicyKey, asyncio.Event] = {}
        self._tasks: dict[PolicyKey, asyncio.Task[None]] = {}
        self._passes: dict[PolicyKey, float] = {}
        self._due: dict[PolicyKey, float] = {}
        self._leaving: set[PolicyKey] = set()
        self._started = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self, key: PolicyKey) -> None:
        """Something about this policy changed: its next pass comes at once. Unknown keys get a loop."""
        self._leaving.discard(key)
        self._woken.setdefault(key, asyncio.Event()).set()
        if self._started.is_set() and key not in self._tasks:
            self._start(key)

    def wake_known(self, keys: Collection[PolicyKey]) -> None:
        """Wakes those that have a loop."""
        for key in self.keys.intersection(keys):
            self.wake(key)

    def forget(self, key: PolicyKey) -> None:
        """The policy was deleted: its loop ends with one last pass, at once, which sees that."""
        if key in self._tasks:
            self._leaving.add(key)
            self._woken[key].set()
        else:
            self._woken.pop(key, None)

    @property
    def keys(self) -> frozenset[PolicyKey]:
        """Policies that have a loop, or get one with `run`."""
        return frozenset(self._woken) - self._leaving

    @property
    def last_pass_age(self) -> timedelta:
        """Age of the oldest loop's last pass, failed ones included; zero while there is nothing to do."""
        if not self._passes:
            return timedelta()
        return timedelta(seconds=self._clock() - min(self._passes.values()))

    @property
    def overdue(self) -> timedelta:
        """How late the latest loop is with the end of its pass; one that hangs or died grows late for ever."""
        return timedelta(seconds=max(0.0, self._clock() - min(self._due.values(), default=self._clock())))

    async def run(self) -> None:
        """Runs until cancelled or `stop`; then no loop is left behind."""
        self._started.set()
        for key in tuple(self._woken):
            self._start(key)
        try:
            await self._stopped.wait()
        finally:
            tasks = tuple(self._tasks.values())
            self._tasks.clear()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """Lets `run` end."""
        self._stopped.set()

    def _start(self, key: PolicyKey) -> None:
        self._passes[key] = self._due[key] = self._clock()
        self._tasks[key] = asyncio.create_task(self._loop(key, self._woken[key]), name=f"policy {key}")

    async def _loop(self, key: PolicyKey, woken: asyncio.Event) -> None:
        failures = 0
        while True:
            called = woken.is_set()
            woken.clear()
            last = key in self._leaving
            try:
                wait = await self._reconciler.reconcile(key, woken, called=called)
                failures = 0
                if last and key in self._leaving:
                    self._drop(key)
                    return
            except Exception as error:
                # The edge of the process: whatever a pass raises, the next one comes.
                wait = min(self._retry * 2**failures, self._retry_max)
                failures = min(failures + 1, 16)
                expected = isinstance(error, PlatformUnavailable)
                told = "a pass over policy %s failed: %s; the next one comes in %g s"
                logger.warning(told, key, error, wait.total_seconds(), exc_info=None if expected else error)
            self._passes[key] = self._clock()
            delay = self._jittered(wait).total_seconds()
            self._due[key] = self._clock() + delay
            await asyncio.sleep(SHORTEST_GAP.total_seconds())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), delay)

    def _drop(self, key: PolicyKey) -> None:
        self._leaving.discard(key)
        self._woken.pop(key, None)
        self._passes.pop(key, None)
        self._due.pop(key, None)
        self._tasks.pop(key, None)

    def _jittered(self, wait: timedelta) -> timedelta:
        if wait < JITTERED_FROM:
            return wait
        return wait * (1 + JITTER * (2 * self._random() - 1))
