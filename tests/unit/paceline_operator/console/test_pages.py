"""Views and pages: what a person reads, where lines go, and that nothing of the cluster becomes markup."""

import dataclasses
import math
import re
from datetime import timedelta
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from console_pages import BUDGET, INVALID, KEY, START, TRACE, api, heard
from paceline_operator.console.history import Past
from paceline_operator.console.listener import MOST_POLICIES, Listener
from paceline_operator.console.markup import Markup, el
from paceline_operator.console.page import fleet_page, missing_page
from paceline_operator.console.policy_page import policy_page
from paceline_operator.console.rendered import RenderedFleet
from paceline_operator.console.scale import Span, line, round_top, staircase, thinned
from paceline_operator.console.timeline import timeline_of
from paceline_operator.console.view import Row, budget_of, fleet_of, row_of, state_of
from paceline_operator.figures import Conclusion, PodFigures, PolicyFigures
from paceline_operator.ports import PolicyKey

HOSTILE = "<script>alert(1)</script>\"'&"


def fleet_html(listener: Listener, now: object = START) -> str:
    return fleet_page(fleet_of(listener.policies, listener.budgets, now), listener.began)  # type: ignore[arg-type]


def policy_html(past: Past, **more: str) -> str:
    now = START + timedelta(minutes=50)
    return policy_page(row_of(KEY, past, now.timestamp()), past, START, now, **more)  # type: ignore[arg-type]


class Texts(HTMLParser):
    """The text of a page, and its tags."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_fleet_shows_the_worst_first_with_its_figures() -> None:
    listener, clock = heard()
    view = fleet_of(listener.policies, listener.budgets, clock.now)
    assert [(row.name, row.state) for row in view.rows] == [
        ("shop/billing", "broken"),
        ("shop/api", "met"),
        ("shop/reports", "met"),
    ]
    row = view.rows[1]
    assert (row.mode, row.objective, row.pods) == ("Auto", "45ms", "8 of 8")
    assert dict(row.values) == {"workers": "4", "postgres": "8", "products": "1m"}
    text = Texts(fleet_html(listener, clock.now)).text
    assert INVALID.message in text
    assert "1 not ready" in text


def test_an_empty_fleet_says_what_to_do() -> None:
    text = Texts(fleet_html(Listener(lambda: START))).text
    assert "No policy has been looked at yet" in text
    assert "kubectl apply" in text


@pytest.mark.parametrize(
    ("figures", "later", "state"),
    [
        (PolicyFigures({"Ready": "False", "ObjectiveMet": "True"}), 0, "broken"),
        (PolicyFigures({"Ready": "True", "ObjectiveMet": "True"}), 301, "silent"),
        (PolicyFigures({"Ready": "True", "ObjectiveMet": "True"}, paused=True), 0, "paused"),
        (PolicyFigures({"Ready": "True", "ObjectiveMet": "False"}), 0, "missed"),
        (PolicyFigures({"Ready": "True", "ObjectiveMet": "Unknown"}), 0, "waiting"),
        (PolicyFigures({"Ready": "True"}), 0, "waiting"),
    ],
)
def test_the_state_of_a_policy(figures: PolicyFigures, later: float, state: str) -> None:
    assert state_of(Past().after(figures, 0), later) == state


def test_a_policys_page_tells_its_decisions_with_reason_figures_and_trace() -> None:
    listener, _ = heard()
    page = Texts(policy_html(listener.policies[KEY], jaeger_url="http://localhost:16686/"))
    for told in ("postgres 4→8", "PoolWaitHigh", "requests wait 120ms", "predicted 79ms", "observed 81ms", "kept"):
        assert told in page.text, told
    links = [attributes.get("href") for tag, attributes in page.tags if tag == "a"]
    assert f"http://localhost:16686/trace/{TRACE}" in links
    assert "#decision-1" in links
    assert "decision-1" in [attributes.get("id") for _, attributes in page.tags]


def test_without_jaeger_the_trace_is_named() -> None:
    listener, _ = heard()
    assert TRACE in Texts(policy_html(listener.policies[KEY])).text


def test_pods_that_have_not_acked_come_first_and_say_why() -> None:
    listener, _ = heard(16)
    text = Texts(policy_html(listener.policies[KEY])).text
    assert text.index("api-7d9f-7") < text.index("api-7d9f-0")
    assert "it runs generation 15" in text


def test_the_timeline_has_a_panel_for_each_value_and_marks_what_was_applied() -> None:
    listener, clock = heard()
    timeline = timeline_of(listener.policies[KEY], clock.now.timestamp())
    assert timeline.chosen == "1h"
    assert [(track.name, track.now) for track in timeline.tracks] == [
        ("workers", "4"),
        ("postgres", "8"),
        ("products", "1m"),
    ]
    assert [mark.number for mark in timeline.latency.marks] == [1, 2]
    predicted = next(each.path for each in timeline.latency.lines if each.kind == "predicted")
    assert predicted.count("M") == 2


def test_what_is_recommended_and_not_applied_is_told_apart() -> None:
    listener, clock = heard()
    past = listener.policies[PolicyKey("shop", "reports")]
    timeline = timeline_of(past, clock.now.timestamp())
    assert [(track.name, track.recommended) for track in timeline.tracks] == [("workers", "4"), ("postgres", "")]
    assert timeline.latency.marks == ()


@pytest.mark.parametrize("chosen", ["5m", "24h", "1y", HOSTILE])
def test_any_range_may_be_asked_for(chosen: str) -> None:
    listener, _ = heard()
    page = policy_html(listener.policies[KEY], chosen=chosen)
    assert HOSTILE not in page
    assert len(re.findall('aria-current="true"', page)) == 1


@pytest.mark.parametrize(("minutes", "seconds"), [(1, 60), (3, 120), (7, 900), (50, 3600)])
def test_a_young_history_fills_its_plot(minutes: int, seconds: float) -> None:
    listener, clock = heard(minutes)
    span = timeline_of(listener.policies[KEY], clock.now.timestamp()).latency.span
    assert span.end - span.start == seconds


def hostile() -> Listener:
    """Whatever comes from the cluster is hostile."""
    listener = Listener(lambda: START)
    conclusion = Conclusion(HOSTILE, HOSTILE, (HOSTILE,), applied=True, trace_id=HOSTILE)
    figures = dataclasses.replace(
        api(0),
        values={HOSTILE: 1.0},
        mode=HOSTILE,
        kinds={},
        conclusion=conclusion,
        each_pod=(PodFigures(HOSTILE, trouble=HOSTILE),),
    )
    listener.tell(PolicyKey(HOSTILE, HOSTILE), figures)
    listener.tell_budget(
        PolicyKey(HOSTILE, HOSTILE), {**BUDGET, "members": [{"policy": HOSTILE, "worst": 40, "message": HOSTILE}]}
    )
    return listener


def test_nothing_of_the_cluster_becomes_markup() -> None:
    listener = hostile()
    (past,) = listener.policies.values()
    for html in (fleet_html(listener), policy_html(past, jaeger_url="http://jaeger")):
        page = Texts(html)
        assert [attributes.get("src") for tag, attributes in page.tags if tag == "script"] == ["/script.js"]
        assert not [
            name for _, attributes in page.tags for name in attributes if name.startswith("on") or name == "style"
        ]
        assert "alert(1)" in page.text


def test_pages_are_well_formed() -> None:
    listener, clock = heard()
    for html in (fleet_html(listener, clock.now), policy_html(listener.policies[KEY])):
        svgs = re.findall(r"<svg.*?</svg>", html)
        assert len(svgs) > 3
        for tag in ("div", "li", "ul", "section", "figure", "svg", "a", "span"):
            assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag
        ids = re.findall(r' id="([^"]*)"', html)
        assert len(ids) == len(set(ids))


def test_markup_escapes_text_and_attributes_and_leaves_itself() -> None:
    made = el("p", HOSTILE, Markup("<b>bold</b>"), title=HOSTILE, hidden=True, data_name=None)
    assert ElementTree.fromstring(made.replace(" hidden", "")).get("title") == HOSTILE  # noqa: S314 - our own
    assert "<b>bold</b>" in made
    assert "data-name" not in made


def test_a_budgets_bar_is_as_long_as_the_larger_of_what_there_is_and_what_could_be_opened() -> None:
    fits = budget_of(KEY, BUDGET)
    assert (fits.within, fits.limit_share) == (True, 1.0)
    assert [round(bar.share, 3) for bar in fits.bars] == [round(64 / 120, 3), round(40 / 120, 3)]
    assert fits.bars[1].start == pytest.approx(64 / 120)
    over = budget_of(KEY, {**BUDGET, "connections": 52, "conditions": [{"type": "WithinBudget", "status": "False"}]})
    assert (over.within, over.limit_share) == (False, 0.5)
    assert budget_of(KEY, {}).bars == ()


def test_a_path_is_broken_where_there_is_nothing() -> None:
    span = Span(0, 10)
    assert line([(0, 1), (5, math.nan), (10, 2)], span, 2) == "M0.0 50.0M1000.0 0.0"
    assert staircase([(-5, 1), (5, 2)], span, 2) == "M0.0 50.0H500.0L500.0 0.0H1000.0"


def test_thinning_keeps_peaks() -> None:
    points = [(float(at), 5.0 if at == 777 else 1.0) for at in range(1000)]
    kept = thinned(points, Span(0, 1000), 100)
    assert len(kept) <= 101
    assert max(value for _, value in kept) == 5.0


@pytest.mark.parametrize(("value", "top"), [(0.212, 0.25), (1, 1), (7.6, 10), (0, 1), (math.nan, 1), (math.inf, 1)])
def test_a_scale_ends_at_a_round_number(value: float, top: float) -> None:
    assert round_top(value) == pytest.approx(top)


def test_times_are_written_at_round_ones() -> None:
    start = START.timestamp()
    assert [text for _, text in Span(start + 100, start + 3700).ticks()] == [
        "08:10",
        "08:20",
        "08:30",
        "08:40",
        "08:50",
        "09:00",
    ]
    assert len(Span(start, start + 86400).ticks()) <= 7


def test_more_policies_than_there_is_room_for_are_counted() -> None:
    listener = Listener(lambda: START)
    for number in range(MOST_POLICIES + 3):
        for _ in range(2):
            listener.tell(PolicyKey("shop", f"api-{number}"), PolicyFigures())
    assert (len(listener.policies), listener.unheard) == (MOST_POLICIES, 3)
    assert "3 more policies are tuned but not shown" in RenderedFleet(listener).at(START)
    hidden = [PolicyKey("shop", f"api-{MOST_POLICIES + each}") for each in range(3)]
    assert [listener.hides(key) for key in (KEY, *hidden)] == [False, True, True, True]

    listener.tell(hidden[0], None)
    assert listener.unheard == 2
    listener.tell(PolicyKey("shop", "api-0"), None)
    listener.tell(hidden[1], PolicyFigures())
    assert hidden[1] in listener.policies
    assert "1 more policy is tuned but not shown" in RenderedFleet(listener).at(START)
    assert not listener.hides(hidden[0])


def test_a_policy_that_is_not_shown_is_not_said_to_be_gone() -> None:
    hidden, gone = (missing_page("shop/api", START, unheard=each) for each in (True, False))
    assert "It was deleted" in gone
    assert "deleted" not in hidden
    assert "no room" in hidden


def test_the_fleet_is_rendered_once_for_each_piece_of_news_and_a_row_once_for_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    viewed: list[PolicyKey] = []

    def viewing(key: PolicyKey, past: Past, now: float) -> Row:
        viewed.append(key)
        return row_of(key, past, now)

    monkeypatch.setattr("paceline_operator.console.rendered.row_of", viewing)
    listener, clock = heard(5)
    page = RenderedFleet(listener)
    first = page.at(clock.now)
    assert len(viewed) == 3
    assert f'data-version="{listener.version}"' in first
    assert page.at(clock.now) is first

    clock.now += timedelta(seconds=5)
    listener.tell(KEY, api(15))
    second = page.at(clock.now)
    assert viewed[3:] == [KEY]
    assert second != first
    assert f'data-version="{listener.version}"' in second


def test_without_any_news_a_policy_is_said_to_be_silent_all_the_same() -> None:
    listener, clock = heard(5)
    page = RenderedFleet(listener)
    assert "No news" not in page.at(clock.now)
    assert "no news" in page.at(clock.now + timedelta(minutes=6))
