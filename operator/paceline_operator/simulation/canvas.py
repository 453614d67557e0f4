"""Charts as SVG text: a shared time axis, stacked panels, steps and marks. Knows nothing of what they show."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from math import floor, log10
from typing import Final

INK: Final = "#1f2933"
PALE: Final = "#7b8794"
GRID: Final = "#e4e7eb"
FONT: Final = "font-family=\"system-ui, 'Segoe UI', 'DejaVu Sans', sans-serif\""


@dataclass(frozen=True, slots=True)
class Axis:
    """Values to heights in a panel; logarithmic where they span more than a decade or so."""

    low: float
    high: float
    top: float
    height: float
    logarithmic: bool = False

    def y(self, value: float) -> float:
        """Downwards from the top, as SVG counts; what lies outside is drawn at the edge."""
        value = min(max(value, self.low), self.high)
        if self.logarithmic:
            share = log10(value / self.low) / log10(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.top + self.height * (1 - share)

    def ticks(self) -> list[float]:
        """Three to five round values. Worked example: 0 to 8 → 0, 2, 4, 6, 8; 10 to 500, logarithmic → 10, 100."""
        if self.logarithmic:
            powers = range(floor(log10(self.low)), floor(log10(self.high)) + 1)
            steps = (1, 2, 5) if self.high / self.low < 40 else (1,)
            found = [step * 10.0**power for power in powers for step in steps]
        else:
            rough = (self.high - self.low) / 4
            power = 10.0 ** floor(log10(rough))
            step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
            found = [step * number for number in range(6)]
        return [tick for tick in found if self.low <= tick <= self.high]


@dataclass(slots=True)
class Canvas:
    """Collects elements; `svg` gives the whole."""

    width: float
    left: float
    right: float
    count: int
    """Steps of the time axis."""
    parts: list[str] = field(default_factory=list)

    def x(self, step: float) -> float:
        return self.left + (self.width - self.left - self.right) * step / self.count

    def text(self, x: float, y: float, words: str, *, size: int = 12, colour: str = INK, look: str = "") -> None:
        self.parts.append(
            f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" {look}>{escape(words)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float, colour: str, look: str = "") -> None:
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" {look}/>')

    def shade(self, start: float, end: float, top: float, bottom: float, colour: str) -> None:
        """A stretch of time."""
        x = self.x(start)
        box = f'x="{x:.1f}" y="{top:.1f}" width="{self.x(end) - x:.1f}" height="{bottom - top:.1f}"'
        self.parts.append(f'<rect {box} fill="{colour}"/>')

    def axis(self, axis: Axis) -> None:
        """Lines across the panel, with their values on the left."""
        for tick in axis.ticks():
            self.line(self.left, axis.y(tick), self.width - self.right, axis.y(tick), GRID)
            self.text(self.left - 6, axis.y(tick) + 4, f"{tick:g}", size=11, colour=PALE, look='text-anchor="end"')

    def steps(self, axis: Axis, series: Sequence[float | None], colour: str) -> None:
        """A value for each step; where it is missing there is a gap."""
        for start, run in _runs(series):
            points = [
                f"{self.x(start + at):.1f},{axis.y(value):.1f}"
                for index, value in enumerate(run)
                for at in (index, index + 1)
            ]
            self.parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="2"/>')

    def badge(self, x: float, y: float, label: str, colour: str) -> None:
        """A number in a circle."""
        self.parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="8" fill="{colour}"/>')
        self.text(x, y + 3.5, label, size=10, colour="white", look='text-anchor="middle" font-weight="600"')

    def svg(self, height: float) -> str:
        box = f'viewBox="0 0 {self.width:.0f} {height:.0f}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {box} {FONT}>'
        return "\n".join(
            [head, f'<rect width="{self.width:.0f}" height="{height:.0f}" fill="white"/>', *self.parts, "</svg>\n"]
        )


def _runs(series: Sequence[float | None]) -> Iterator[tuple[int, list[float]]]:
    run: list[float] = []
    for index, value in enumerate((*series, None)):
        if value is not None:
            run.append(value)
        elif run:
            yield index - len(run), run
            run = []
