"""What may change while a service runs: a descriptor for each kind of it, and the values that it has.

The rest of the operator asks the descriptor: how a value travels, what a pod has of it, whether growing it must gain
something, whether single pods can try it. So a new kind is a line in `Kind`, its descriptor and its law.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from paceline_operator.core.model.durations import format_duration

NOTHING: Final[Mapping[Any, Any]] = MappingProxyType({})


class Kind(StrEnum):
    """What a tunable is."""

    WORKERS = "workers"
    POOL = "pool"
    PROCESSES = "processes"
    CACHE = "cache"
    ADMISSION = "admission"


class Wire(Enum):
    """The form of a section of `values`, in documents, `/state` and status."""

    ONE = "one number for the pod: 4"
    BY_NAME = "a number a name: {postgres: 8}"
    OBJECT_BY_NAME = "an object a name, with one field: {responses: {ttlSeconds: 60}}"
    FIELDS = "one object for the pod, a number a field: {min: 16, max: 512}"


class Verdict(Enum):
    """What is asked of a value that grew."""

    MUST_GAIN = "half of the gain that was promised is seen"
    MUST_NOT_HARM = "responses are no slower than before"
    NONE = "it is never judged"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """All there is to say of a kind of tunable."""

    unit: str
    section: str
    """Its name in `values`."""
    wire: Wire
    verdict: Verdict
    fields: tuple[str, ...] = ()
    """Of an object."""
    required: tuple[str, ...] = ()
    """Fields without which the object is off, as it is where one of them is 0."""
    whole: bool = True
    """Whether its values are whole numbers."""
    per_worker: bool = False
    """Whether each worker has as much: a pod then has it times its workers."""
    pod_local: bool = True
    """Whether what it does shows on the pods that have it, so that some can try it before the others."""
    reported_as: str = ""
    """What `/state` calls it, where it shares its section with another kind."""
    prefix: str = ""
    """In front of its name where people read it."""
    text: Callable[[float], str] = "{:g}".format
    """A value as people write it."""


def _admission(value: float) -> str:
    return f"{value:g}" if value else "off"


DESCRIPTORS: Final[Mapping[Kind, Descriptor]] = {
    Kind.WORKERS: Descriptor("processes of a pod", "workers", Wire.ONE, Verdict.MUST_GAIN),
    Kind.POOL: Descriptor("connections of a worker", "pools", Wire.BY_NAME, Verdict.MUST_GAIN, per_worker=True),
    Kind.PROCESSES: Descriptor(
        "processes of a pool in a pod", "pools", Wire.BY_NAME, Verdict.MUST_GAIN, reported_as="processes"
    ),
    Kind.CACHE: Descriptor(
        "seconds that an entry is fresh",
        "caches",
        Wire.OBJECT_BY_NAME,
        Verdict.MUST_NOT_HARM,
        fields=("ttlSeconds",),
        whole=False,
        pod_local=False,
        text=format_duration,
    ),
    Kind.ADMISSION: Descriptor(
        "requests in flight of a worker",
        "admission",
        Wire.FIELDS,
        Verdict.NONE,
        fields=("min", "max", "p95Seconds"),
        required=("min", "max"),
        whole=False,
        pod_local=False,
        prefix="admission.",
        text=_admission,
    ),
}
"""In the order of the wire; where two share a section, the first one is what is read."""


@dataclass(frozen=True, slots=True, order=True)
class Tunable:
    """A value that changes while the service runs; `name` as the application registered it, or a field."""

    kind: Kind
    name: str = ""

    @property
    def descriptor(self) -> Descriptor:
        return DESCRIPTORS[self.kind]

    def __str__(self) -> str:
        return f"{self.descriptor.prefix}{self.name}" or self.kind.value

    def describe(self, value: float) -> str:
        """The value as people write it: `4`, `60s`, `off`."""
        if self == ADMISSION_P95 and value:
            return format_duration(value)
        return self.descriptor.text(value)


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


def processes(name: str) -> Tunable:
    """The size of a process pool, per pod."""
    return Tunable(Kind.PROCESSES, name)


def cache(name: str) -> Tunable:
    """The TTL of a cache, in seconds."""
    return Tunable(Kind.CACHE, name)


def with_workers(values: Values, workers: float) -> Values:
    """The values with so many workers; unchanged where they do not say how many."""
    return {**values, WORKERS: workers} if WORKERS in values else values


def in_a_pod(values: Values, tunable: Tunable) -> float:
    """What a pod has of it. Worked example: 4 workers of 5 connections → 20."""
    return values[tunable] * (values.get(WORKERS, 1.0) if tunable.descriptor.per_worker else 1.0)
