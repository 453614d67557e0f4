"""What a document can tune: a descriptor for each section of `values`, which the model, the bounds and the agent go by.

Not said here is the order of a change: workers and pools move as `sequencing.py` says, all else with its first step.
"""

from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

LARGEST_VALUE: Final = 2**31 - 1
"""The largest number in `values`: int32, as in the TuningPolicy. Seconds keep to it too: 68 years."""


@dataclass(frozen=True, slots=True)
class CacheValues:
    """What is tuned of one cache. `ttl_seconds` 0 means: always fetch."""

    ttl_seconds: float

    def to_json(self) -> dict[str, Any]:
        return {"ttlSeconds": self.ttl_seconds}


@dataclass(frozen=True, slots=True)
class AdmissionValues:
    """Within what a worker limits the requests it works on; what they promise, so that it knows when to brake."""

    min: int
    max: int
    p95_seconds: float | None = None
    """The objective; None where nobody has said it."""

    def to_json(self) -> dict[str, Any]:
        wire: dict[str, Any] = {"min": self.min, "max": self.max}
        return wire if self.p95_seconds is None else {**wire, "p95Seconds": self.p95_seconds}


def _same(value: Any) -> Any:
    return value


def _cache(wire: Mapping[str, Any]) -> CacheValues:
    return CacheValues(float(wire["ttlSeconds"]))


def _admission(wire: Mapping[str, Any]) -> AdmissionValues:
    return AdmissionValues(wire["min"], wire["max"], wire["p95Seconds"])


def _ordered(value: AdmissionValues) -> AdmissionValues:
    """The schema cannot say that the minimum is no larger than the maximum."""
    return AdmissionValues(min(value.min, value.max), value.max, value.p95_seconds)


@dataclass(frozen=True, slots=True)
class Section:
    """One section of `values`. Its content is a value or None, or values by the names that an application registers."""

    name: str
    """On the wire, and as a field of `Values`."""
    by_name: bool = False
    read: Callable[[Any], Any] = int
    """A value, of wire that is valid."""
    write: Callable[[Any], Any] = _same
    figure: Callable[[Any], float] = _same
    """The number of a value that start values and caps bound."""
    figure_name: str = ""
    """Of a value that has several."""
    ordered: Callable[[Any], Any] = _same
    """The value as a pod can run it."""
    largest: Any = LARGEST_VALUE

    def each(self, content: Any, change: Callable[[Any], Any]) -> Any:
        """The content with every value changed."""
        if self.by_name:
            return {name: change(value) for name, value in content.items()}
        return None if content is None else change(content)

    def merged(self, common: Any, own: Any) -> Any:
        """`common`, with what is given in `own` in its place."""
        if self.by_name:
            return {**common, **own}
        return common if own is None else own

    def only(self, content: Any, names: Container[str]) -> Any:
        """The content without names that are not among these; of a section by name."""
        return {name: value for name, value in content.items() if name in names}

    def lowered(self, content: Any, start: Any) -> Any:
        """The smaller of each value and its start value. A name without one is left out: it runs that by itself."""
        if self.by_name:
            return {n: min(value, start[n], key=self.figure) for n, value in self.only(content, start).items()}
        return content if content is None or start is None else min(content, start, key=self.figure)

    def capped(self, content: Any, caps: Any) -> Any:
        """As a pod can run it, and no more than its hard caps; None: there are none."""
        ordered = self.each(content, self.ordered)
        if caps is None or ordered is None:
            return ordered
        if self.by_name:
            return {name: min(value, caps.get(name, value)) for name, value in ordered.items()}
        return min(ordered, caps)

    def figures(self, content: Any) -> Iterator[tuple[str, float]]:
        """The numbers by their path in `values`, such as `pools.postgres`."""
        found = content.items() if self.by_name else () if content is None else (("", content),)
        for name, value in found:
            yield ".".join(filter(None, (self.name, name, self.figure_name))), self.figure(value)


SECTIONS: Final = (
    Section("workers"),
    Section("pools", by_name=True),
    Section(
        "caches",
        by_name=True,
        read=_cache,
        write=CacheValues.to_json,
        figure=attrgetter("ttl_seconds"),
        largest=CacheValues(LARGEST_VALUE),
    ),
    Section(
        "admission",
        read=_admission,
        write=AdmissionValues.to_json,
        figure=attrgetter("min"),
        figure_name="min",
        ordered=_ordered,
    ),
)
REGISTERED: Final = tuple(section for section in SECTIONS if section.by_name)
"""Those whose names an application registers."""
