"""What a pod grants of what a document asks: completed with start values, lowered after a crash, clamped to hard caps.

Pure. Missing is not zero: a cap or a start value that no worker has reported yet bounds nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

from paceline.document.model import AdmissionValues, CacheValues, Values


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
    return CompleteValues(
        workers=start.workers if asked.workers is None else asked.workers,
        pools={**start.pools, **asked.pools},
        caches={**start.caches, **asked.caches},
        admission=asked.admission,
    )


def _lower(values: CompleteValues, start: CompleteValues) -> CompleteValues:
    # A name without a known start value is left out: its worker then runs the start value by itself.
    return CompleteValues(
        workers=min(values.workers, start.workers),
        pools={name: min(limit, start.pools[name]) for name, limit in values.pools.items() if name in start.pools},
        caches={
            name: CacheValues(min(cache.ttl_seconds, start.caches[name].ttl_seconds))
            for name, cache in values.caches.items()
            if name in start.caches
        },
        admission=values.admission,
    )


def _cap(values: CompleteValues, caps: HardCaps) -> CompleteValues:
    return CompleteValues(
        workers=min(values.workers, caps.workers),
        pools={name: min(limit, caps.pools.get(name, limit)) for name, limit in values.pools.items()},
        caches=values.caches,
        admission=values.admission and _ordered(values.admission),
    )


def _ordered(admission: AdmissionValues) -> AdmissionValues:
    """The schema cannot say that the minimum is no larger than the maximum."""
    return replace(admission, min=min(admission.min, admission.max))


def _cuts(asked: CompleteValues, granted: CompleteValues, by: Literal["cap", "uncleanExit"]) -> Iterator[Clamp]:
    before, after = _numbers(asked), _numbers(granted)
    return (Clamp(name, before[name], number, by) for name, number in after.items() if number < before[name])


def _numbers(values: CompleteValues) -> dict[str, float]:
    return {
        "workers": values.workers,
        **{f"pools.{name}": limit for name, limit in values.pools.items()},
        **{f"caches.{name}": cache.ttl_seconds for name, cache in values.caches.items()},
        **({"admission.min": values.admission.min} if values.admission else {}),
    }
