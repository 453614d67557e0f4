"""Views → pages. Every page is whole: the script replaces its `main` by that of a newer one."""

from datetime import datetime
from typing import Final

from paceline_operator.console.bars import budget
from paceline_operator.console.markup import Child, Markup, el, joined
from paceline_operator.console.plot import sparkline
from paceline_operator.console.view import STATES, UNKNOWN, Fleet, Row

EMPTY: Final = "No policy has been looked at yet."
HINT: Final = "Policies appear here with their first pass, a second after they are applied:"


def shell(title: str, began: datetime, version: str, *children: Child) -> str:
    """A whole page; `version` is that of the news in it, as the stream of events tells it."""
    since = f"History since {began:%d %b %H:%M} UTC, in memory; a day at most. Times are UTC."
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("title", title),
        el("link", rel="icon", href="/icon.svg", type="image/svg+xml"),
        el("link", rel="stylesheet", href="/style.css"),
        el("script", src="/script.js", defer=True),
    )
    body = el(
        "body",
        el("a", "Skip to content", class_="skip", href="#main"),
        el(
            "header",
            el("a", Markup(MARK), el("span", "Paceline"), class_="brand", href="/"),
            el("p", since, class_="since"),
            el("p", "Connecting", id="live", class_="live", role="status"),
        ),
        el("p", id="trouble", class_="trouble", role="alert", hidden=True),
        el("main", *children, id="main", tabindex=-1, data_version=version),
        el("noscript", el("p", "Without JavaScript the page stays as it is: reload it.", class_="trouble")),
    )
    return "<!doctype html>\n" + el("html", head, body, lang="en")


def fleet_page(fleet: Fleet, began: datetime, unheard: int = 0, *, version: str = "") -> str:
    """All policies and budgets; of `unheard` more policies nothing is shown."""
    more = f"{unheard} more {'policy is' if unheard == 1 else 'policies are'} tuned but not shown."
    full = f"There is no room for all: {more}" if unheard else None
    return shell(
        "Paceline",
        began,
        version,
        el("h1", "Fleet"),
        _counts(fleet) if fleet.rows else _empty(),
        el("p", full, class_="trouble") if full else None,
        el("ul", *(_row(row) for row in fleet.rows), class_="fleet", id="fleet") if fleet.rows else None,
        _budgets(fleet),
    )


def missing_page(name: str, began: datetime, *, version: str = "", unheard: bool = False) -> str:
    """Of a policy that is not known; or one that there is no room for."""
    title = "Not shown" if unheard else "No such policy"
    why = "It was deleted, another operator tunes it, or this one has not looked at it yet."
    said = f"Nothing is known of {name}. {why}"
    full = f"{name} is tuned, but the console has no room for it: kubectl describe tp and Prometheus tell of it."
    return shell(
        f"{title} · Paceline",
        began,
        version,
        el("h1", title),
        el("p", full if unheard else said),
        el("p", el("a", "All policies", href="/")),
    )


def pill(state: str) -> Markup:
    """The state of a policy in a word or two; the colour only repeats it."""
    return el("span", STATES[state], class_=f"pill {state}")


def pairs(*found: tuple[str, Child]) -> Markup:
    """Figures with their names."""
    return el("dl", *(el("div", el("dt", name), el("dd", value)) for name, value in found), class_="figures")


def _empty() -> Markup:
    # Scrolled by keyboard where the page is narrow.
    command = el("pre", el("code", "kubectl apply -f k8s/examples/minimal.yaml"), tabindex="0")
    return el("section", el("p", EMPTY), el("p", HINT), command, class_="empty")


def _counts(fleet: Fleet) -> Markup:
    found = [(state, count) for state, count in fleet.counts.items() if count]
    counts = (el("li", el("b", f"{count}"), f" {STATES[state].lower()}", class_=state) for state, count in found)
    search = el("input", type="search", id="filter", placeholder="Filter, press /", aria_label="Filter policies")
    return el("div", el("ul", *counts, class_="counts"), search, class_="above")


def _row(row: Row) -> Markup:
    told = f"{row.name}: {row.percentile} {row.latency}, objective {row.objective}"
    return el(
        "li",
        el(
            "div",
            el("a", row.name, href=row.href, class_="name"),
            el("span", row.mode, class_="mode") if row.mode else None,
            pill(row.state),
            class_="who",
        ),
        sparkline(row.spark, row.spark_objective, told) if row.spark else None,
        _latency(row),
        el("div", *(el("span", f"{name} ", el("b", value)) for name, value in row.values), class_="values"),
        el("div", f"{row.pods} pods" if row.pods else None, class_="pods"),
        el("div", el("b", row.reason), f" {row.message}", class_="said", title=row.message),
        class_=f"policy {row.state}",
        data_name=row.name,
    )


def _latency(row: Row) -> Markup:
    if row.latency == row.objective == UNKNOWN:
        return el("div", class_="latency")
    name, objective = (
        el("span", f"{row.percentile} ", class_="quiet"),
        el("span", f" of {row.objective}", class_="quiet"),
    )
    return el("div", name, el("b", row.latency), objective, class_="latency")


def _budgets(fleet: Fleet) -> Markup | None:
    if not fleet.budgets:
        return None
    return el("section", el("h2", "Connection budgets"), joined(*map(budget, fleet.budgets)), class_="budgets")


MARK: Final = (
    '<svg class="logo" viewBox="0 0 24 24" width="22" height="22" aria-hidden="true">'
    '<path d="M2 17 L8 9 L13 14 L22 5"/></svg>'
)
