"""Panels as SVG. Lines are stretched with the page, text and marks are not: no text gets small on a phone."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from paceline_operator.console.markup import Markup, el, joined
from paceline_operator.console.scale import HEIGHT, WIDTH, Span

_TOP: Final = 10
"""Pixels above the highest line, for marks."""
_BOTTOM: Final = 18
"""Pixels below the lowest, for times."""


@dataclass(frozen=True, slots=True)
class Line:
    """A path, and the class that says how it is drawn."""

    kind: str
    path: str


@dataclass(frozen=True, slots=True)
class Mark:
    """A decision in time: a line through the panel; with a number, also a badge that links to it."""

    at: float
    number: int
    title: str
    crowded: bool = False
    """No room for the number beside its neighbours."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot over time."""

    label: str
    """What a screen reader says of it."""
    span: Span
    height: int
    top: float
    scale: Sequence[tuple[float, str]]
    """Values to write, and how."""
    lines: Sequence[Line]
    marks: Sequence[Mark] = ()
    badges: bool = False
    times: bool = True


def draw(panel: Panel) -> Markup:
    """The panel."""
    bottom = _BOTTOM if panel.times else 4
    inner = panel.height - _TOP - bottom
    stretched = el(
        "svg",
        *(_rule(value, panel.top) for value, _ in panel.scale),
        *(_vertical(mark, panel.span) for mark in panel.marks),
        *(el("path", class_=f"line {each.kind}", d=each.path) for each in panel.lines if each.path),
        x=0,
        y=_TOP,
        width="100%",
        height=inner,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        preserveAspectRatio="none",
        class_="stretched",
    )
    return el(
        "svg",
        stretched,
        *(_value(value, text, panel.top, inner) for value, text in panel.scale),
        *(_time(at, text, panel) for at, text in panel.span.ticks() if panel.times),
        *(_badge(mark, panel.span) for mark in panel.marks if panel.badges),
        class_="plot",
        width="100%",
        height=panel.height,
        # An image cannot have links inside.
        role="group" if panel.badges else "img",
        aria_label=panel.label,
    )


def sparkline(path: str, objective: str, label: str) -> Markup:
    """A small line without any text."""
    lines = joined(el("path", class_="line objective", d=objective), el("path", class_="line latency", d=path))
    return el(
        "svg",
        lines,
        class_="spark",
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def _rule(value: float, top: float) -> Markup:
    y = HEIGHT * (1 - value / top)
    return el("line", class_="rule", x1=0, x2=WIDTH, y1=y, y2=y)


def _vertical(mark: Mark, span: Span) -> Markup:
    x = round(WIDTH * span.share(mark.at), 1)
    return el("line", class_="mark", x1=x, x2=x, y1=0, y2=HEIGHT)


def _value(value: float, text: str, top: float, inner: int) -> Markup:
    y = round(_TOP + inner * (1 - value / top) - 3, 1)
    return el("text", text, class_="scale", x=2, y=y)


def _time(at: float, text: str, panel: Panel) -> Markup | None:
    share = panel.span.share(at)
    if not 0.03 < share < 0.97:
        return None
    return el("text", text, class_="time", x=f"{100 * share:.2f}%", y=panel.height - 4)


def _badge(mark: Mark, span: Span) -> Markup:
    x = f"{100 * span.share(mark.at):.2f}%"
    if mark.crowded:
        shown = joined(el("circle", cx=x, cy=9, r=4))
    else:
        shown = joined(el("circle", cx=x, cy=9, r=9), el("text", str(mark.number), x=x, y=13))
    return el(
        "a",
        el("title", mark.title),
        shown,
        href=f"#decision-{mark.number}",
        class_="badge",
    )
