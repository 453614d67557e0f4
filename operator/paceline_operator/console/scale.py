"""Numbers to places: time along a panel, values up it, and where to write which. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

WIDTH: Final = 1000.0
HEIGHT: Final = 100.0
"""Of a panel's own coordinates; it is stretched over whatever place there is."""
MOST_POINTS: Final = 400
_TICKS: Final = (5, 10, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600)

Point: TypeAlias = tuple[float, float]
"""A time in seconds since 1970 and a value; NaN is a gap."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time that a panel shows, in seconds since 1970."""

    start: float
    end: float

    def share(self, at: float) -> float:
        """0 at the start, 1 at the end."""
        return (at - self.start) / (self.end - self.start)

    def ticks(self, most: int = 6) -> Sequence[tuple[float, str]]:
        """Times to write, and how: at round ones, five or so."""
        step = next((each for each in _TICKS if (self.end - self.start) / each <= most), _TICKS[-1])
        first = math.ceil(self.start / step) * step
        form = "%H:%M" if step >= 60 else "%H:%M:%S"
        times = [first + step * number for number in range(most + 1)]
        return [(at, f"{datetime.fromtimestamp(at, UTC):{form}}") for at in times if at <= self.end]


def round_top(value: float) -> float:
    """The next of 1, 2, 2.5, 5 or 10 times a power of ten that is not below: what a scale ends at."""
    if not value > 0 or not math.isfinite(value):
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1, 1.5, 2, 2.5, 4, 5, 7.5, 10, 20) if factor * power >= value)


def thinned(points: Iterable[Point], span: Span, most: int = MOST_POINTS) -> Sequence[Point]:
    """The points of the span, of those that fall on one place the highest: a peak must not go."""
    kept: dict[int, Point] = {}
    for at, value in points:
        share = span.share(at)
        if 0 <= share <= 1:
            place = int(share * most)
            if place not in kept or not value <= kept[place][1]:
                kept[place] = at, value
    return list(kept.values())


def line(points: Iterable[Point], span: Span, top: float) -> str:
    """The `d` of a path through the points, broken where there is none."""
    parts: list[str] = []
    pen = "M"
    for at, value in points:
        if math.isnan(value):
            pen = "M"
            continue
        parts.append(f"{pen}{_x(at, span)} {_y(value, top)}")
        pen = "L"
    return "".join(parts)


def staircase(points: Sequence[Point], span: Span, top: float) -> str:
    """The `d` of a path that holds each value until the next one, and the last to the end."""
    parts: list[str] = []
    pen = "M"
    ends = [*(at for at, _ in points[1:]), span.end]
    for (at, value), end in zip(points, ends, strict=False):
        if math.isnan(value):
            pen = "M"
        elif end > span.start:
            parts.append(f"{pen}{_x(max(at, span.start), span)} {_y(value, top)}H{_x(min(end, span.end), span)}")
            pen = "L"
    return "".join(parts)


def _x(at: float, span: Span) -> str:
    return f"{WIDTH * min(1.0, max(0.0, span.share(at))):.1f}"


def _y(value: float, top: float) -> str:
    return f"{HEIGHT * (1 - min(value / top, 1.0)):.1f}"
