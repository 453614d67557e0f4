"""Where the time of one request goes: what it waited for, held, looked up and called, noted as it runs.

Pools, caches and HTTP clients note steps; `Tracing` makes spans and attributes of them when the request ends. Where
nothing is traced, `current` is empty, and noting costs one look at it.
"""

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from time import perf_counter
from typing import Final, NamedTuple

OUTCOME: Final = "paceline.cache.outcome"
"""Attribute of a lookup: hit, stale or miss."""
MOST_STEPS: Final = 256
"""Of one request; further ones only add to `TimeSpent.more`, so a handler with 10,000 queries stays small."""


class Kind(StrEnum):
    """What a step of a request was; the value is part of the names of attributes and spans."""

    WAIT = "wait"
    """For a connection, a thread or a process of a pool."""
    HOLD = "hold"
    """Of a connection."""
    LOOKUP = "lookup"
    """In a cache, the fetch included where there had to be one."""
    FETCH = "fetch"
    """Of a value that a cache did not have."""
    CALL = "call"
    """Of another service: until its response began, or, with aiohttp, until the body was read."""
    RUN = "run"
    """Of a function in a process pool."""


class Step(NamedTuple):
    """Times are of the process's monotonic clock, in seconds."""

    kind: Kind
    name: str
    """Of the pool or cache."""
    started: float
    ended: float
    span_id: int
    """0 where nothing can be below it."""
    above: int
    """The span id of the step that it is a part of; 0: of the request itself."""
    attributes: Mapping[str, str | int]


_Noted = tuple[Kind, str, float, float, int, int, Mapping[str, str | int]]
_NONE: Final[Mapping[str, str | int]] = {}


class TimeSpent:
    """What one request, or the part of it below one step, has spent so far. Threads may note steps, too."""

    __slots__ = ("_noted", "above", "more", "traceparent")

    def __init__(self, traceparent: str | None = None) -> None:
        self._noted: list[_Noted] = []
        self.more: dict[tuple[Kind, str], float] = {}
        """Seconds of the steps beyond `MOST_STEPS`."""
        self.above = 0
        self.traceparent = traceparent
        """Of a request that is part of a trace: the field to hand on, with `{}` for the span id of the call."""

    def note(
        self,
        kind: Kind,
        name: str,
        started: float,
        ended: float,
        span_id: int = 0,
        attributes: Mapping[str, str | int] = _NONE,
    ) -> None:
        """Records a step that is over. Several a request: plain tuples cost a third of `Step`."""
        noted = self._noted
        if len(noted) < MOST_STEPS:
            noted.append((kind, name, started, ended, span_id, self.above, attributes))
        else:
            self.more[kind, name] = self.more.get((kind, name), 0.0) + ended - started

    def below(self, span_id: int) -> "TimeSpent":
        """For what happens as part of a step; it notes into the same request."""
        inner = TimeSpent(self.traceparent)
        inner._noted, inner.more, inner.above = self._noted, self.more, span_id
        return inner

    @property
    def steps(self) -> list[Step]:
        """Those noted so far, in the order in which they ended."""
        return [Step(*noted) for noted in self._noted]

    def totals(self) -> dict[tuple[Kind, str], float]:
        """Seconds by kind and name; steps that ran side by side count one by one."""
        seconds = dict(self.more)
        for step in self.steps:
            seconds[step.kind, step.name] = seconds.get((step.kind, step.name), 0.0) + step.ended - step.started
        return seconds


current: ContextVar[TimeSpent | None] = ContextVar("paceline_time_spent", default=None)
"""Of the request that this task or thread works for; None outside of one, and where nothing is traced."""


def new_span_id() -> int:
    """Never 0, which means none."""
    return random.getrandbits(64) or 1


@contextmanager
def step(kind: Kind, name: str, *, expected: type[Exception] | tuple[()] = ()) -> Iterator[dict[str, str | int]]:
    """Notes what runs inside as one step, and what that notes as parts of it; yields the step's attributes.

    Args:
        expected: an exception that is no error of this step.
    """
    attributes: dict[str, str | int] = {}
    spent = current.get()
    if spent is None:
        yield attributes
        return
    span_id = new_span_id()
    outer = current.set(spent.below(span_id))
    started = perf_counter()
    try:
        yield attributes
    except BaseException as error:
        if not isinstance(error, expected):
            attributes["error.type"] = type(error).__qualname__
        raise
    finally:
        current.reset(outer)
        spent.note(kind, name, started, perf_counter(), span_id, attributes)
