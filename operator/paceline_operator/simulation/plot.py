"""One run as a picture: p95 against the objective, the load, what was set, and why each change was made."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.durations import format_duration
from paceline_operator.simulation.canvas import INK, PALE, Axis, Canvas
from paceline_operator.simulation.conditions import rate_at
from paceline_operator.simulation.faults import FaultPart
from paceline_operator.simulation.result import values_by_interval
from paceline_operator.simulation.scenario import Scenario

WIDTH: Final = 900.0
LEFT: Final = 160.0
RIGHT: Final = 96.0
MARKS: Final = 34.0
"""Height of the row of numbers above the panels."""
TALL: Final = 130.0
LOW: Final = 62.0
GAP: Final = 22.0
HEAD: Final = 62.0
LINE: Final = 18.0
MOST_TOLD: Final = 14
"""Changes with a line of their own below the picture."""
P95, LOAD, SET = "#1d4ed8", "#7b8794", "#0f766e"
SHADE: Final = "#fdf0d5"
CHANGED, TAKEN_BACK, CURIOUS = "#0f766e", "#b91c1c", "#a16207"


def draw(scenario: Scenario, result: Mapping[str, Any]) -> str:
    """An SVG of the run in `result`, which was of this scenario."""
    canvas = Canvas(WIDTH, LEFT, RIGHT, len(result["decisions"]))
    values = values_by_interval(scenario, result)
    names = sorted({name for row in values for name in row}, key=lambda name: (name != "workers", name))
    bottom = HEAD + MARKS + TALL + (LOW + GAP) * (1 + len(names))
    _title(canvas, result)
    for fault in scenario.faults:
        _fault(canvas, fault, bottom)
    changes = [decision for decision in result["decisions"] if decision["changes"]]
    _marks(canvas, changes, bottom)
    top = HEAD + MARKS
    _p95(canvas, scenario, result, top)
    top += TALL + GAP
    load = [rate_at(scenario, interval) for interval in range(canvas.count)]
    _panel(canvas, top, ("load", "requests/s"), load, LOAD, f"{load[-1]:.0f}")
    for name in names:
        top += LOW + GAP
        series = [row.get(name, 0.0) for row in values]
        _panel(canvas, top, _named(name), series, SET, _valued(name, series[-1]))
    _time(canvas, scenario, bottom)
    return canvas.svg(_told(canvas, changes, bottom + 58) + 8)


def _title(canvas: Canvas, result: Mapping[str, Any]) -> None:
    reached = (
        "never within 10 % of the best"
        if result["t10"] is None
        else f"within 10 % of the best from interval {result['t10']} on"
    )
    regret = f"it ends at {result['regret']:.2f} × the best setting"
    canvas.text(16, 24, f"{result['scenario']} under {result['controller']}", size=16, look='font-weight="600"')
    canvas.text(16, 44, f"{regret}, {reached}; seed {result['seed']}", size=12, colour=PALE)


def _fault(canvas: Canvas, fault: FaultPart, bottom: float) -> None:
    active = [interval for interval in range(canvas.count) if fault.active(interval)]
    if active:
        canvas.shade(active[0], active[-1] + 1, HEAD + MARKS - 6, bottom, SHADE)
        canvas.text(canvas.x(active[0]) + 4, HEAD + MARKS + 8, fault.kind, size=11, colour=CURIOUS)


def _marks(canvas: Canvas, changes: Sequence[Mapping[str, Any]], bottom: float) -> None:
    for number, decision in enumerate(changes, start=1):
        x = canvas.x(decision["interval"] + 1)
        canvas.line(x, HEAD + 24, x, bottom, _colour(decision["reason"]), 'stroke-dasharray="1 4"')
        canvas.badge(x, HEAD + 8 + (number % 2) * 8, str(number), _colour(decision["reason"]))


def _p95(canvas: Canvas, scenario: Scenario, result: Mapping[str, Any], top: float) -> None:
    objective = scenario.parsed_policy().objective
    assert objective is not None  # the scenario gives one
    limit = objective.limit.total_seconds() * 1e3
    series = [None if decision["p95"] is None else decision["p95"] * 1e3 for decision in result["decisions"]]
    seen = [value for value in series if value is not None] or [limit]
    axis = Axis(min(*seen, limit) / 1.3, max(*seen, limit) * 1.3, top, TALL, logarithmic=True)
    canvas.axis(axis)
    y = axis.y(limit)
    canvas.line(LEFT, y, WIDTH - RIGHT, y, INK, 'stroke-dasharray="6 4"')
    canvas.text(WIDTH - RIGHT + 6, y + 4, f"objective {limit:g}", size=11)
    canvas.steps(axis, series, P95)
    _name(canvas, top, ("p95", "ms, logarithmic"))
    if series[-1] is not None and abs(axis.y(series[-1]) - y) > 12:
        canvas.text(WIDTH - RIGHT + 6, axis.y(series[-1]) + 4, f"{series[-1]:.3g}", colour=P95)


def _panel(canvas: Canvas, top: float, name: tuple[str, str], series: Sequence[float], colour: str, last: str) -> None:
    axis = Axis(0.0, max(*series, 1.0) * 1.1, top, LOW)
    canvas.axis(axis)
    canvas.steps(axis, series, colour)
    _name(canvas, top, name)
    canvas.text(WIDTH - RIGHT + 6, axis.y(series[-1]) + 4, last, colour=colour)


def _name(canvas: Canvas, top: float, name: tuple[str, str]) -> None:
    canvas.text(16, top + 14, name[0], look='font-weight="600"')
    canvas.text(16, top + 30, name[1], size=11, colour=PALE)


def _time(canvas: Canvas, scenario: Scenario, bottom: float) -> None:
    every = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**9) if canvas.count / step <= 12)
    for interval in range(0, canvas.count + 1, every):
        canvas.text(canvas.x(interval), bottom + 16, str(interval), size=11, colour=PALE, look='text-anchor="middle"')
    words = f"intervals of {format_duration(scenario.interval)}"
    canvas.text(canvas.x(canvas.count / 2), bottom + 34, words, size=11, colour=PALE, look='text-anchor="middle"')


def _told(canvas: Canvas, changes: Sequence[Mapping[str, Any]], top: float) -> float:
    """A line for each change; returns where they end."""
    for number, decision in enumerate(changes[:MOST_TOLD], start=1):
        canvas.badge(24, top - 4, str(number), _colour(decision["reason"]))
        canvas.text(40, top, decision["reason"], look='font-weight="600"')
        canvas.text(190, top, _changes(decision["changes"]))
        top += LINE + 2
    if len(changes) > MOST_TOLD:
        canvas.text(40, top, f"and {len(changes) - MOST_TOLD} more", colour=PALE)
        top += LINE
    return top


def _changes(changes: Sequence[Mapping[str, Any]]) -> str:
    """Workers first."""
    return ", ".join(_change(change) for change in sorted(changes, key=lambda change: change["tunable"] != "workers"))


def _change(change: Mapping[str, Any]) -> str:
    name = change["tunable"]
    old = "?" if change["old"] is None else _valued(name, change["old"])
    return f"{name.rpartition('.')[2]} {old} → {_valued(name, change['new'])}"


def _named(name: str) -> tuple[str, str]:
    """A tunable and its unit."""
    kind, _, short = name.partition(".")
    units = {"pools": "connections a worker", "caches": "TTL, s"}
    return (short, units[kind]) if kind in units else (name, "a pod")


def _valued(name: str, value: float) -> str:
    return format_duration(value) if name.startswith("caches.") else f"{value:g}"


def _colour(reason: str) -> str:
    return {Reason.ROLLED_BACK.value: TAKEN_BACK, Reason.PROBE.value: CURIOUS}.get(reason, CHANGED)
