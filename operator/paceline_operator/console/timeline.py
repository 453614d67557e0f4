"""One policy over time: latency beside its objective, a panel for each value, decisions marked in all of them. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from paceline_operator.console.history import Made, Past
from paceline_operator.console.plot import Line, Mark, Panel
from paceline_operator.console.ring import DAY, HOUR, Sample
from paceline_operator.console.scale import Point, Span, line, round_top, staircase, thinned
from paceline_operator.console.view import LEAST, clock, percentile_of, seconds_text, value_text
from paceline_operator.core.model.tunables import DESCRIPTORS, NOTHING, Kind

RANGES: Final = {"5m": 300.0, "15m": 900.0, "1h": HOUR, "6h": 6 * HOUR, "24h": DAY}
SHORT: Final = RANGES["5m"]
_Unpacked: TypeAlias = tuple[float, Mapping[str, float], Mapping[str, float]]
"""A step: since when, what is in force, what is recommended."""
CROWDED: Final = 0.03
"""Share of a panel's width that a badge with a number takes."""


@dataclass(frozen=True, slots=True)
class Track:
    """One value over time."""

    name: str
    unit: str
    now: str
    recommended: str
    """Empty where it is what runs."""
    panel: Panel


@dataclass(frozen=True, slots=True)
class Timeline:
    """The panels, from top to bottom."""

    chosen: str
    """Of `RANGES`; empty for a history that is shorter than any of them."""
    percentile: str
    latency: Panel
    tracks: tuple[Track, ...]


def timeline_of(past: Past, now: float, chosen: str = "") -> Timeline:
    """The panels; without a range that is known, the shortest that has the whole history, or no more than that."""
    samples = list(past.ring)
    age = now - samples[0].at if samples else 0.0
    if chosen not in RANGES:
        chosen = "" if age < SHORT else next((name for name, seconds in RANGES.items() if age <= seconds), "24h")
    span = Span(now - RANGES.get(chosen, max(age, LEAST)), now)
    marks = marks_of(past.decisions, span)
    percentile = percentile_of(past.latest)
    steps = [(step.at, step.values, step.recommended) for step in past.steps]
    names = sorted({name for _, values, _ in steps for name in values}, key=lambda name: (name != "workers", name))
    return Timeline(
        chosen=chosen,
        percentile=percentile,
        latency=_latency(past, samples, span, marks, percentile),
        tracks=tuple(_track(past, steps, name, span, marks) for name in names),
    )


def marks_of(decisions: Sequence[Made], span: Span) -> tuple[Mark, ...]:
    """The decisions of the span that changed something; numbers count from the oldest that is remembered."""
    marks: list[Mark] = []
    free = -1.0
    for number, made in enumerate(decisions, 1):
        share = span.share(made.at)
        if made.applied and 0 <= share <= 1:
            title = f"{clock(made.at)} {made.reason}: {', '.join(made.changes)}"
            marks.append(Mark(made.at, number, title, crowded=share < free))
            free = max(free, share + CROWDED)
    return tuple(marks)


def predictions(decisions: Sequence[Made], span: Span) -> list[Point]:
    """What was predicted of each change, from it to the next one."""
    made = [each for each in decisions if each.applied]
    ends = [*(each.at for each in made[1:]), span.end]
    points: list[Point] = []
    for each, end in zip(made, ends, strict=False):
        points += [(each.at, math.nan if each.predicted is None else each.predicted), (end, math.nan)]
    return points


def _latency(past: Past, samples: Sequence[Sample], span: Span, marks: tuple[Mark, ...], percentile: str) -> Panel:
    measured = thinned(((each.at, each.latency) for each in samples), span)
    objective = [(each.at, each.objective) for each in samples]
    promised = predictions(past.decisions, span)
    shown = [*measured, *objective[-1:], *((at, value) for at, value in promised if 0 <= span.share(at) <= 1)]
    top = round_top(max((value for _, value in shown if not math.isnan(value)), default=0.0))
    latest = (past.latest.latency or NOTHING).get(past.latest.quantile or 0.95)
    return Panel(
        label=f"{percentile} is {seconds_text(latest)}, the objective {seconds_text(past.latest.objective_seconds)}",
        span=span,
        height=220,
        top=top,
        scale=[(top * share, seconds_text(top * share)) for share in (0.5, 1.0)],
        lines=(
            Line("objective", staircase(_in(objective, span), span, top)),
            Line("predicted", staircase(_in(promised, span), span, top)),
            Line("latency", line(measured, span, top)),
        ),
        marks=marks,
        badges=True,
    )


def _track(past: Past, steps: Sequence[_Unpacked], name: str, span: Span, marks: tuple[Mark, ...]) -> Track:
    latest = past.latest
    applied = [(at, values.get(name, math.nan)) for at, values, _ in steps]
    advised = [(at, recommended.get(name, math.nan)) for at, _, recommended in steps]
    top = round_top(1.15 * max((value for _, value in (*applied, *advised) if not math.isnan(value)), default=1.0))
    now, wanted = ((found or NOTHING).get(name) for found in (latest.values, latest.recommended))
    text, differs = _text(past, name, now), wanted is not None and wanted != now
    advice = _text(past, name, wanted) if differs else ""
    kind = (latest.kinds or NOTHING).get(name)
    return Track(
        name=name,
        unit=DESCRIPTORS[Kind(kind)].unit if kind else "",
        now=text,
        recommended=advice,
        panel=Panel(
            label=f"{name} is {text}" + (f", {advice} is recommended" if advice else ""),
            span=span,
            height=64,
            top=top,
            scale=[(top, _text(past, name, top))],
            lines=(
                Line("recommended", staircase(_in(advised, span), span, top)),
                Line("applied", staircase(_in(applied, span), span, top)),
            ),
            marks=marks,
            times=False,
        ),
    )


def _text(past: Past, name: str, value: float | None) -> str:
    return "–" if value is None else value_text(past.latest, name, value)


def _in(points: Sequence[Point], span: Span) -> Sequence[Point]:
    """Those of the span, and the one before it, which holds at its start."""
    before = [each for each in points if each[0] < span.start]
    return [*before[-1:], *points[len(before) :]]
