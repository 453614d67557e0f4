"""One run as a picture: p95 against the objective and the best there was, and below it what was set."""

from collections.abc import Sequence
from html import escape
from typing import Any, Final

WIDTH: Final = 760
PANEL: Final = 150
LEFT: Final = 60
GAP: Final = 34
COLOURS: Final = ("#0b6e99", "#d1495b", "#6a994e", "#8f5fbf")


def draw(result: dict[str, Any], objective_seconds: float, values: Sequence[dict[str, float]]) -> str:
    """An SVG of the run in `result`. `values` are those in force, by interval and tunable."""
    p95s = [(decision["p95"] or 0.0) * 1000 for decision in result["decisions"]]
    ceiling = max(4 * objective_seconds * 1000, 1.0)
    names = sorted({name for row in values for name in row})
    height = GAP + (PANEL + GAP) * (1 + len(names))
    title = f"{result['scenario']}, seed {result['seed']}: regret {result['regret']:.2f}, T10 {result['t10']}"
    box = f'viewBox="0 0 {WIDTH} {height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="{LEFT}" y="16" font-size="14">{escape(title)}</text>',
        _panel(GAP, "p95, ms", [min(p95, ceiling) for p95 in p95s], COLOURS[0], objective_seconds * 1000),
    ]
    for row, name in enumerate(names, start=1):
        series = [values_of.get(name, 0.0) for values_of in values]
        parts.append(_panel(GAP + row * (PANEL + GAP), name, series, COLOURS[row % len(COLOURS)], steps=True))
    return "\n".join([*parts, "</svg>\n"])


def _panel(
    top: int, name: str, series: Sequence[float], colour: str, mark: float | None = None, *, steps: bool = False
) -> str:
    most = max([*series, mark or 0.0, 1e-9]) * 1.05
    width = WIDTH - LEFT - 20

    def x(index: float) -> float:
        return LEFT + width * index / max(1, len(series))

    def y(value: float) -> float:
        return top + PANEL * (1 - value / most)

    points = []
    for index, value in enumerate(series):
        points.append(f"{x(index):.1f},{y(value):.1f}")
        if steps:
            points.append(f"{x(index + 1):.1f},{y(value):.1f}")
    lines = [
        f'<text x="4" y="{top + 12}">{escape(name)}</text>',
        f'<text x="4" y="{top + PANEL}" fill="#777">0 … {most / 1.05:.3g}</text>',
        f'<line x1="{LEFT}" y1="{top + PANEL}" x2="{LEFT + width}" y2="{top + PANEL}" stroke="#999"/>',
        f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" stroke-width="1.8"/>',
    ]
    if mark is not None:
        lines.append(
            f'<line x1="{LEFT}" y1="{y(mark):.1f}" x2="{LEFT + width}" y2="{y(mark):.1f}" stroke="#333" '
            'stroke-dasharray="4 3"/>'
            f'<text x="{LEFT + width - 62}" y="{y(mark) - 4:.1f}" fill="#333">objective</text>'
        )
    return "\n".join(lines)
