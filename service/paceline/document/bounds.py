"""What a pod grants of what a document asks: completed with start values, lowered after a crash, clamped to hard caps.

Pure. Missing is not zero: a cap or a start value that no worker has reported yet bounds nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal

from paceline.document.model import Values
from paceline.document.tunables import SECTIONS


@dataclass(frozen=True, slots=True)
class CompleteValues(Values):
    """Values with a worker count; as complete in pools and caches as workers' reports allow."""

    workers: int


@dataclass(frozen=True, slots=True)
class HardCaps:
    """What this pod never exceeds: the setting for workers, each pool's constructor for connections per worker."""

    workers: int
    pools: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Clamp:
    """One tunable that got less than was asked. `tunable` is its path in `values`, such as `pools.postgres`."""

    tunable: str
    asked: float
    granted: float
    by: Literal["cap", "memory", "uncleanExit"]

    def to_json(self) -> dict[str, Any]:
        return {"tunable": self.tunable, "asked": self.asked, "granted": self.granted, "by": self.by}


@dataclass(frozen=True, slots=True)
class Grant:
    """The values this pod wants to run, and what had to be cut to get there."""

    values: CompleteValues
    clamped: tuple[Clamp, ...]


def grant(asked: Values, *, start: CompleteValues, caps: HardCaps, after_unclean_exit: bool) -> Grant:
    """What this pod runs of `asked`: min(asked, start value) after an unclean exit, never more than the hard caps.

    Worked example: workers 8 of at most 4, start value 1 → 4 (`cap`); after an unclean exit → 1 (`uncleanExit`).
    """
    complete = _complete(asked, start)
    lowered = _lower(complete, start) if after_unclean_exit else complete
    capped = _cap(lowered, caps)
    return Grant(capped, (*_cuts(complete, lowered, "uncleanExit"), *_cuts(lowered, capped, "cap")))


def _complete(asked: Values, start: CompleteValues) -> CompleteValues:
    return complete(asked.over(start), start.workers)


def complete(values: Values, workers: int) -> CompleteValues:
    """The values with so many workers where they do not say."""
    found = {each.name: getattr(values, each.name) for each in SECTIONS}
    return CompleteValues(**{**found, "workers": workers if values.workers is None else values.workers})


def _lower(values: CompleteValues, start: CompleteValues) -> CompleteValues:
    return CompleteValues(**{s.name: s.lowered(getattr(values, s.name), getattr(start, s.name)) for s in SECTIONS})


def _cap(values: CompleteValues, caps: HardCaps) -> CompleteValues:
    return CompleteValues(**{s.name: s.capped(getattr(values, s.name), getattr(caps, s.name, None)) for s in SECTIONS})


def _cuts(asked: CompleteValues, granted: CompleteValues, by: Literal["cap", "uncleanExit"]) -> Iterator[Clamp]:
    before, after = _figures(asked), _figures(granted)
    return (Clamp(name, before[name], number, by) for name, number in after.items() if number < before[name])


def _figures(values: CompleteValues) -> dict[str, float]:
    return dict(chain.from_iterable(each.figures(getattr(values, each.name)) for each in SECTIONS))
