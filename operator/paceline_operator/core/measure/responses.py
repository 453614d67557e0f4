"""Response times by objective, and which of several objectives is missed by most, or comes nearest to being missed.

Objectives compare by what was measured over what was promised. To have one figure, each is given in the unit of the
first one: measured times the first limit over its own. Worked example: all others p95 30 ms of 45 ms, reports 3 s of
2 s: the reports are judged, 3 s · 45 ms / 2 s = 67.5 ms.

A route is judged from 164 requests a window on at p95, from 846 at p99: with fewer its percentile has no upper bound at
99 % confidence, and a single slow response would decide. The requests that no route objective is about always are.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.objectives import P95, Target

SURELY: Final = 2.576
"""Standard deviations: a value is outside them by chance once in a hundred times."""
WAIT_FOR: Final = "wait for "
"""What the targets of streams begin with: of the waits for a pool, in place of responses."""


@dataclass(frozen=True, slots=True)
class Figure:
    """What a judged response time is of: `seconds / unit` is what was measured."""

    name: str = "p95"
    unit: float = 1.0
    counted: tuple[str, ...] = ()
    """All that were judged, `p95 45ms` and so on, where there are several or it is not p95: others do not compare."""

    @property
    def by_waits(self) -> bool:
        """Whether it is of waits for connections: nothing of such a window compares with one of requests."""
        return any(each.startswith(WAIT_FOR) for each in self.counted)

    def text(self, seconds: float) -> str:
        """`67ms`, or `3s` of a route."""
        return format_duration(seconds / self.unit)

    def told(self, seconds: float) -> str:
        """`p95 67ms`, or `GET /reports/* p95 3s`."""
        return f"{self.name} {self.text(seconds)}"


@dataclass(frozen=True, slots=True)
class Responses:
    """The responses of the requests that one target is about."""

    duration: Histogram
    target: Target | None = None
    """None: no objective, p95."""
    unit: float = 1.0
    """The first target's limit over this one's."""

    @property
    def quantile(self) -> float:
        return self.target.quantile if self.target else P95

    @property
    def name(self) -> str:
        return self.target.name if self.target else "p95"

    @property
    def seconds(self) -> float:
        """As measured; 0 of none."""
        return self.duration.quantile(self.quantile) or 0.0

    def lowered(self, share: float) -> float:
        """In the unit of the first target: what one that is lower by a share of the requests would be."""
        return self.unit * (self.duration.quantile(self.quantile - share) or 0.0)

    @property
    def interval(self) -> tuple[float, float] | None:
        """Where the true one lies, in the unit of the first target; None where there are too few to tell."""
        found = self.duration.interval(self.quantile, SURELY)
        return (self.unit * found[0], self.unit * found[1]) if found else None

    @property
    def kept(self) -> bool:
        """Whether the target is met; True of none."""
        return self.target is None or self.seconds <= self.target.limit.total_seconds()


def responses_of(targets: Sequence[Target], durations: Sequence[Histogram]) -> tuple[Responses, ...]:
    """One for each target, in their order."""
    first = targets[0].limit
    return tuple(
        Responses(duration, target, first / target.limit) for target, duration in zip(targets, durations, strict=True)
    )


def merged(found: Iterable[tuple[Responses, ...]]) -> tuple[Responses, ...]:
    """Of several pods, target by target."""
    return tuple(
        Responses(merge(each.duration for each in same), same[0].target, same[0].unit)
        for same in zip(*found, strict=True)
    )


def judged(responses: Sequence[Responses]) -> tuple[Responses, ...]:
    """Those that there were enough of; the first one always is, if there was any of it; at the least the largest."""
    if len(responses) == 1:
        return tuple(each for each in responses if each.duration.count)
    enough = [each for number, each in enumerate(responses) if each.duration.count and (number == 0 or each.interval)]
    largest = max(responses, key=lambda each: each.duration.count)
    return tuple(enough) or ((largest,) if largest.duration.count else ())


def worst(responses: Sequence[Responses]) -> Responses | None:
    """The one that is missed by most, or comes nearest to that; None without any response."""
    return max(judged(responses), key=lambda each: each.lowered(0.0), default=None)


def figure(responses: Sequence[Responses]) -> Figure:
    """What `worst` is of."""
    found = worst(responses)
    if found is None or found.target is None:
        return Figure()
    targets = [each.target for each in judged(responses) if each.target]
    counted = tuple(f"{target.name} {format_duration(target.limit)}" for target in targets)
    return Figure(found.name, found.unit, counted)
