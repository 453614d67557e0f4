"""A ConnectionBudget as one bar: what its members could open, end to end, up to what there is."""

from typing import Final

from paceline_operator.console.markup import Markup, el
from paceline_operator.console.view import Bar, BudgetView

_COLOURS: Final = 6
_LEGIBLE: Final = 0.12
"""Share of the bar from which a name fits into a part."""


def budget(view: BudgetView) -> Markup:
    """The bar, with the same in words: colours alone say nothing."""
    spare = view.allowed - view.worst
    told = f"{view.worst} of {view.allowed} at the worst, {view.used} open now"
    over = f"; {-spare} too many" if spare < 0 else f"; {spare} left"
    return el(
        "figure",
        el(
            "figcaption",
            el("b", view.name),
            el("span", told + over),
            el("span", "Exceeded" if view.within is False else "Within budget", class_=f"pill {_state(view)}"),
        ),
        _bar(view, told),
        el("ul", *(_legend(number, bar) for number, bar in enumerate(view.bars)), class_="legend"),
        class_="budget",
    )


def _state(view: BudgetView) -> str:
    return "missed" if view.within is False else "met"


def _bar(view: BudgetView, told: str) -> Markup:
    limit, used = f"{100 * view.limit_share:.2f}%", f"{100 * view.used_share:.2f}%"
    return el(
        "svg",
        el("rect", class_="ground", x=0, y=4, width=limit, height=26),
        *(_part(number, bar) for number, bar in enumerate(view.bars)),
        el("line", class_="limit", x1=limit, x2=limit, y1=0, y2=34),
        el("rect", class_="used", x=0, y=32, width=used, height=3),
        class_="bar",
        width="100%",
        height=36,
        role="img",
        aria_label=told,
    )


def _part(number: int, bar: Bar) -> Markup:
    """A nested picture clips its text."""
    name = el("text", bar.policy, x=6, y=18) if bar.share >= _LEGIBLE else None
    return el(
        "svg",
        el("title", bar.text),
        el("rect", width="100%", height="100%", class_=f"part colour-{number % _COLOURS}"),
        name,
        x=f"{100 * bar.start:.2f}%",
        y=4,
        width=f"{100 * bar.share:.2f}%",
        height=26,
    )


def _legend(number: int, bar: Bar) -> Markup:
    swatch = el(
        "svg",
        el("rect", width=10, height=10, class_=f"part colour-{number % _COLOURS}"),
        width=10,
        height=10,
        aria_hidden="true",
    )
    return el("li", swatch, el("a", bar.policy, href=bar.href), f" {bar.text.partition(': ')[2]}")
