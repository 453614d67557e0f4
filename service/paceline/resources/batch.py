"""`tune.batch`: lookups of one kind that wait at the same time go out in one call."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from typing import Generic, TypeVar

from paceline.errors import UsageError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
Found = Mapping[K, V | Exception]
Load = Callable[[Sequence[K]], Awaitable[Found[K, V]]]


@dataclass(eq=False)
class _Flight(Generic[K, V]):
    """Keys that are being loaded, and who waits for each."""

    callers: dict[K, list["asyncio.Future[V | None]"]]
    task: "asyncio.Task[None] | None" = None
    waiting: int = field(default=0)
    """Callers that have not given up."""


class Batch(Generic[K, V]):
    """Call it with a key. See `paceline.tune.batch`."""

    def __init__(self, load: Load[K, V], *, max_size: int, in_flight: int) -> None:
        for name, value in (("max_size", max_size), ("in_flight", in_flight)):
            if value < 1:
                raise UsageError(f"tune.batch: {name} is {value}; it must be at least 1")
        self._load = load
        self._max_size = max_size
        self._in_flight = in_flight
        self._waiting: dict[K, list[asyncio.Future[V | None]]] = {}
        self._flights: set[_Flight[K, V]] = set()
        self._is_leaving = False
        self._context = copy_context()  # a caller's transaction, span and request id stay with the caller

    async def __call__(self, key: K) -> V | None:
        """What was found for the key; None if there is nothing.

        Raises:
            Exception: what `load` raised, or what it returned for this key.
        """
        loop = asyncio.get_running_loop()
        caller: asyncio.Future[V | None] = loop.create_future()
        self._waiting.setdefault(key, []).append(caller)
        if not self._is_leaving and len(self._flights) < self._in_flight:
            self._is_leaving = True
            loop.call_soon(self._leave)  # after all that are ready to run: they may ask, too
        try:
            return await caller
        except asyncio.CancelledError:
            self._give_up(key, caller)
            raise

    def _leave(self) -> None:
        self._is_leaving = False
        while self._waiting and len(self._flights) < self._in_flight:
            keys = list(islice(self._waiting, self._max_size))
            flight = _Flight({key: self._waiting.pop(key) for key in keys})
            flight.waiting = sum(map(len, flight.callers.values()))
            self._flights.add(flight)
            flight.task = asyncio.get_running_loop().create_task(self._fly(flight), context=self._context.copy())
            flight.task.add_done_callback(partial(self._landed, flight))  # runs for one that was cancelled at once, too

    async def _fly(self, flight: _Flight[K, V]) -> None:
        try:
            found = await self._load(list(flight.callers))
            for key, callers in flight.callers.items():
                _land(callers, found.get(key))
        except Exception as error:
            for callers in flight.callers.values():
                _land(callers, error)

    def _landed(self, flight: _Flight[K, V], _: "asyncio.Task[None]") -> None:
        self._flights.discard(flight)
        for caller in chain.from_iterable(flight.callers.values()):
            caller.cancel()  # one without a result: the loop ends, and nobody waits for ever
        self._leave()

    def _give_up(self, key: K, caller: "asyncio.Future[V | None]") -> None:
        """Nobody else notices; a call that nobody waits for is cancelled."""
        if caller in self._waiting.get(key, ()):
            self._waiting[key].remove(caller)
            if not self._waiting[key]:
                del self._waiting[key]
            return
        for flight in self._flights:
            if caller in flight.callers.get(key, ()):
                flight.waiting -= 1
                if not flight.waiting and flight.task is not None:
                    flight.task.cancel()


def _land(callers: "list[asyncio.Future[V | None]]", result: V | Exception | None) -> None:
    for caller in callers:
        if caller.done():
            continue  # gave up
        if isinstance(result, Exception):
            caller.set_exception(result)
        else:
            caller.set_result(result)
