"""The page of one policy: its figures, its timeline, its decisions, its pods."""

from datetime import UTC, datetime

from paceline_operator.console.bars import budget
from paceline_operator.console.history import Made, Past
from paceline_operator.console.markup import Markup, el, joined
from paceline_operator.console.page import pairs, pill, shell
from paceline_operator.console.plot import draw
from paceline_operator.console.timeline import RANGES, Timeline, timeline_of
from paceline_operator.console.view import BudgetView, Row, clock, seconds_text
from paceline_operator.figures import PodFigures


def policy_page(
    row: Row,
    past: Past,
    began: datetime,
    now: datetime,
    *,
    version: str = "",
    chosen: str = "",
    jaeger_url: str = "",
    budgets: tuple[BudgetView, ...] = (),
) -> str:
    """The page; `budgets` are those that the policy is a member of."""
    timeline = timeline_of(past, now.timestamp(), chosen)
    said = past.latest.conclusion
    return shell(
        f"{row.name} · Paceline",
        began,
        version,
        el("nav", el("a", "← Fleet", href="/"), class_="back", aria_label="Breadcrumb"),
        el("h1", row.name, " ", pill(row.state)),
        el("p", el("b", said.reason), f" {said.message}", class_="now") if said else None,
        _figures(row, past, timeline),
        el("section", _ranges(row, timeline), *_panels(timeline), class_="timeline", aria_label="Timeline"),
        _decisions(past.decisions, jaeger_url),
        _pods(past),
        el("section", el("h2", "Connection budgets"), joined(*map(budget, budgets))) if budgets else None,
    )


def _figures(row: Row, past: Past, timeline: Timeline) -> Markup:
    latest, said = past.latest, past.latest.conclusion
    found: list[tuple[str, str]] = [(timeline.percentile, row.latency), ("Objective", row.objective)]
    found.append(("Pods", f"{row.pods} applied" if latest.pods is not None else "–"))
    if latest.wanted_replicas is not None:
        found.append(("Pods wanted", f"{latest.wanted_replicas}"))
    if said is not None and said.generation is not None:
        found.append(("Generation", f"{said.generation}"))
    found += [("Mode", row.mode or "–"), ("Last pass", clock(past.at))]
    return pairs(*found)


def _ranges(row: Row, timeline: Timeline) -> Markup:
    links = (
        el("a", name, href=f"?range={name}", aria_current="true" if name == timeline.chosen else None)
        for name in RANGES
    )
    return el("nav", *links, class_="ranges", aria_label="Range of time")


def _panels(timeline: Timeline) -> list[Markup]:
    keys = (("latency", timeline.percentile), ("objective", "objective"), ("predicted", "predicted"))
    panels = [
        el("figure", el("figcaption", el("b", "Latency"), *(_key(*each) for each in keys)), draw(timeline.latency))
    ]
    for track in timeline.tracks:
        advice = el("span", f"{track.recommended} recommended", class_="advice") if track.recommended else None
        caption = el(
            "figcaption", el("b", track.name), el("b", track.now, class_="value"), advice, el("span", track.unit)
        )
        panels.append(el("figure", caption, draw(track.panel), class_="track"))
    return panels


def _key(kind: str, text: str) -> Markup:
    swatch = el(
        "svg", el("line", class_=f"line {kind}", x1=0, x2=18, y1=5, y2=5), width=18, height=10, aria_hidden="true"
    )
    return el("span", swatch, f" {text}", class_="key")


def _decisions(decisions: tuple[Made, ...], jaeger_url: str) -> Markup:
    if not decisions:
        return el(
            "section", el("h2", "Decisions"), el("p", "Nothing has been changed or recommended yet.", class_="quiet")
        )
    numbered = reversed(list(enumerate(decisions, 1)))
    items = (_decision(number, made, jaeger_url) for number, made in numbered)
    return el("section", el("h2", "Decisions"), el("ol", *items, class_="decisions"))


def _decision(number: int, made: Made, jaeger_url: str) -> Markup:
    outcome = made.outcome.replace("_", " ") or ("waiting for its verdict" if made.predicted and made.applied else "")
    state = {"kept": "met", "rolled back": "missed"}.get(outcome, "waiting")
    return el(
        "li",
        el("span", f"{number}", class_="number"),
        el(
            "div",
            el("b", ", ".join(made.changes)),
            el("span", "recommended", class_="pill waiting") if not made.applied else None,
            el("span", outcome, class_=f"pill {state}") if outcome else None,
            class_="what",
        ),
        el("div", el("span", made.reason, class_="reason"), f" {made.message}"),
        el("div", *_figures_of(made, jaeger_url), class_="quiet"),
        id=f"decision-{number}",
        tabindex=-1,
    )


def _figures_of(made: Made, jaeger_url: str) -> list[str]:
    found: list[str] = [el("time", clock(made.at), datetime=datetime.fromtimestamp(made.at, UTC).isoformat())]
    if made.generation is not None:
        found.append(f"generation {made.generation}")
    if made.latency is not None:
        found.append(f"latency was {seconds_text(made.latency)}")
    if made.predicted is not None:
        found.append(f"predicted {seconds_text(made.predicted)}")
    if made.observed is not None:
        found.append(f"observed {seconds_text(made.observed)}")
    if made.trace_id and jaeger_url:
        found.append(el("a", "trace", href=f"{jaeger_url.rstrip('/')}/trace/{made.trace_id}", rel="noreferrer"))
    elif made.trace_id:
        found.append(el("span", "trace ", el("code", made.trace_id)))
    return [part for each in found for part in (el("span", each), " ")]


def _pods(past: Past) -> Markup | None:
    pods = past.latest.each_pod or ()
    if not pods:
        return None
    more = (past.latest.pods or 0) - len(pods)
    rest = el("p", f"and {more} more", class_="quiet")
    rows = map(_pod, pods)
    head = el("thead", el("tr", *(el("th", name, scope="col") for name in ("Pod", "Generation", "State"))))
    return el("section", el("h2", "Pods"), el("table", head, el("tbody", *rows)), rest if more > 0 else None)


def _pod(pod: PodFigures) -> Markup:
    state = el("span", "acked", class_="pill met") if pod.acked else el("span", "behind", class_="pill missed")
    generation = "–" if pod.generation is None else f"{pod.generation}"
    return el(
        "tr",
        el("th", pod.name, scope="row"),
        el("td", generation),
        el("td", state, f" {pod.trouble}" if pod.trouble else None),
    )
