"""What is remembered → what the page says: a line of the fleet for each policy, and the bars of each budget. Pure."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from paceline_operator.console.history import Past
from paceline_operator.console.ring import HOUR
from paceline_operator.console.scale import Span, line, round_top, thinned
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.tunables import DESCRIPTORS, NOTHING, Kind
from paceline_operator.figures import PolicyFigures, conditions_in
from paceline_operator.ports import PolicyKey

STALE: Final = 300.0
"""Seconds without a pass after which a policy is said to be silent; its longest ordinary wait is a minute or two."""
SPARK_POINTS: Final = 60
LEAST: Final = 60.0
"""Seconds that a plot shows at the least, so that two passes of a new policy do not fill it."""
UNKNOWN: Final = "–"
STATES: Final = {
    "broken": "Not ready",
    "silent": "No news",
    "missed": "Objective missed",
    "paused": "Paused",
    "waiting": "No verdict yet",
    "met": "Objective met",
}
"""Worst first: the order of the fleet."""


@dataclass(frozen=True, slots=True)
class Row:
    """One policy in the fleet."""

    name: str
    href: str
    state: str
    mode: str
    percentile: str
    latency: str
    objective: str
    values: tuple[tuple[str, str], ...]
    pods: str
    reason: str
    message: str
    spark: str
    spark_objective: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a budget, as shares of what it allows."""

    policy: str
    href: str
    start: float
    share: float
    text: str


@dataclass(frozen=True, slots=True)
class BudgetView:
    """One ConnectionBudget."""

    name: str
    within: bool | None
    allowed: int
    worst: int
    used: int
    used_share: float
    limit_share: float
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Fleet:
    """The first page."""

    rows: tuple[Row, ...]
    budgets: tuple[BudgetView, ...]
    counts: Mapping[str, int]
    """Policies by state."""


def fleet_of(
    policies: Mapping[PolicyKey, Past],
    budgets: Mapping[PolicyKey, Mapping[str, Any]],
    now: datetime,
    row: Callable[[PolicyKey, Past, float], Row] | None = None,
) -> Fleet:
    """The view of everything; `row` views one policy, by `row_of` unless said."""
    order, view = list(STATES), row or row_of
    rows = [view(key, past, now.timestamp()) for key, past in policies.items()]
    rows.sort(key=lambda row: (order.index(row.state), row.name))
    counts = {state: sum(row.state == state for row in rows) for state in STATES}
    shown = tuple(budget_of(key, status) for key, status in sorted(budgets.items()))
    return Fleet(tuple(rows), shown, counts)


def row_of(key: PolicyKey, past: Past, now: float) -> Row:
    """One policy in brief."""
    latest, said = past.latest, past.latest.conclusion
    samples = list(past.ring.recent)
    age = 0.0 if past.ring.began is None else now - past.ring.began
    span = Span(now - min(HOUR, max(age, LEAST)), now)
    recent = thinned(((each.at, each.latency) for each in samples), span, SPARK_POINTS)
    objectives = [each.objective for each in samples[-1:] if not math.isnan(each.objective)]
    top = round_top(max([value for _, value in recent if not math.isnan(value)] + objectives, default=1.0))
    return Row(
        name=str(key),
        href=href_of(str(key)),
        state=state_of(past, now),
        mode=latest.mode or "",
        percentile=percentile_of(latest),
        latency=seconds_text((latest.latency or NOTHING).get(latest.quantile or 0.95)),
        objective=seconds_text(latest.objective_seconds),
        values=tuple((name, value_text(latest, name, value)) for name, value in (latest.values or NOTHING).items()),
        pods="" if latest.pods is None else f"{latest.applied or 0} of {latest.pods}",
        reason=said.reason if said else "",
        message=said.message if said else "",
        spark=line(recent, span, top),
        spark_objective=line(
            [(span.start, each) for each in objectives] + [(span.end, each) for each in objectives], span, top
        ),
    )


def state_of(past: Past, now: float) -> str:
    """One word of `STATES`."""
    conditions = past.latest.conditions
    if conditions.get("Ready") == "False":
        return "broken"
    if now - past.at > STALE:
        return "silent"
    if past.latest.paused:
        return "paused"
    return {"True": "met", "False": "missed"}.get(conditions.get("ObjectiveMet", ""), "waiting")


def budget_of(key: PolicyKey, status: Mapping[str, Any]) -> BudgetView:
    """The bars are as long as the larger of what is allowed and what members could open."""
    allowed, worst, used = (int(status.get(name) or 0) for name in ("connections", "worst", "used"))
    whole = max(allowed, worst, 1)
    bars: list[Bar] = []
    for member in status.get("members") or ():
        policy, most = str(member["policy"]), int(member.get("worst") or 0)
        start = bars[-1].start + bars[-1].share if bars else 0.0
        bars.append(Bar(policy, href_of(policy), start, most / whole, f"{policy}: {member.get('message') or most}"))
    within = {"True": True, "False": False}.get(conditions_in(status).get("WithinBudget", ""))
    return BudgetView(str(key), within, allowed, worst, used, used / whole, allowed / whole, tuple(bars))


def href_of(policy: str) -> str:
    """The address of a policy's page."""
    return f"/policies/{quote(policy)}"


def percentile_of(latest: PolicyFigures) -> str:
    """`p95` or `p99`: what the objective is about."""
    return f"p{100 * (latest.quantile or 0.95):g}"


def seconds_text(seconds: float | None) -> str:
    """`23.1ms`; a dash for what cannot be told."""
    return UNKNOWN if seconds is None or math.isnan(seconds) else format_duration(seconds)


def value_text(latest: PolicyFigures, name: str, value: float) -> str:
    """A value as people write it: `4`, `60s`."""
    kind = (latest.kinds or NOTHING).get(name)
    return DESCRIPTORS[Kind(kind)].text(value) if kind else f"{value:g}"


def clock(at: float) -> str:
    """`20:41:07`, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S}"
