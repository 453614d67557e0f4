"""What may change while a service runs, and the values that it has."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from paceline_operator.core.model.durations import format_duration

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


class Kind(StrEnum):
    """What a tunable is."""

    WORKERS = "workers"
    POOL = "pool"
    CACHE = "cache"
    ADMISSION = "admission"


@dataclass(frozen=True, slots=True, order=True)
class Tunable:
    """A value that changes while the service runs.

    Its unit: processes, connections per worker, seconds of TTL, requests in flight per worker.
    """

    kind: Kind
    name: str = ""

    def __str__(self) -> str:
        return f"admission.{self.name}" if self.kind is Kind.ADMISSION else self.name or self.kind.value

    def describe(self, value: float) -> str:
        """The value as people write it: `4`, `60s`, `off`."""
        if self.kind is Kind.ADMISSION and not value:
            return "off"
        return format_duration(value) if self.kind is Kind.CACHE or self == ADMISSION_P95 else f"{value:g}"


WORKERS: Final = Tunable(Kind.WORKERS)
ADMISSION_MIN: Final = Tunable(Kind.ADMISSION, "min")
ADMISSION_MAX: Final = Tunable(Kind.ADMISSION, "max")
"""Requests in flight per worker; 0: off, as where they are absent."""
ADMISSION_P95: Final = Tunable(Kind.ADMISSION, "p95Seconds")
"""The objective that pods brake by; 0: none."""

Values: TypeAlias = Mapping[Tunable, float]
"""A value for each tunable that is known or named; an absent one means the pod's start value."""


def pool(name: str) -> Tunable:
    """The size of a connection pool, per worker."""
    return Tunable(Kind.POOL, name)


def cache(name: str) -> Tunable:
    """The TTL of a cache, in seconds."""
    return Tunable(Kind.CACHE, name)
