"""Several objectives: which requests count towards which, and which of them is judged."""

from dataclasses import replace
from datetime import timedelta

import pytest
from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.observe import PodWindow, observe
from paceline_operator.core.measure.pods import PodState, RequestCounters
from paceline_operator.core.model.objectives import P99, Target
from paceline_operator.core.model.policy import Objective
from situations import COST, seconds

REPORTS = Target(timedelta(seconds=2), match="GET /reports/*")
ADMIN = Target(timedelta(seconds=5), P99, "* /admin/*")
BOTH = replace(COST, routes=(REPORTS, ADMIN))


def pod(uptime: float, uid: str = "a", **groups: Histogram) -> PodState:
    """A pod that has counted these, by the group's last word: `reports` is `GET /reports/{id}`."""
    names = {"reports": "GET /reports/{id}", "admin": "POST /admin/users", "items": "GET /items", "other": "other"}
    requests = {names[name]: RequestCounters(found.count, 0, found) for name, found in groups.items()}
    return PodState(started_at="x", uptime_seconds=uptime, generation=1, uid=uid, requests=requests)


def window(objective: Objective | None = BOTH, uid: str = "a", **groups: Histogram) -> Observation:
    empty = {name: Histogram(20) for name in groups}
    found = observe([PodWindow(pod(100, uid, **empty), pod(110, uid, **groups))], objective)
    assert found is not None
    return found


def test_the_objective_that_is_missed_by_most_is_judged_in_the_unit_of_the_first() -> None:
    seen = window(items=seconds(0.030, 10_000), reports=seconds(3.0, 500), admin=seconds(1.0, 1000))

    assert [round(each.seconds, 3) for each in seen.by_objective] == [0.030, 3.0, 1.0]
    assert [each.kept for each in seen.by_objective] == [True, False, True]
    assert seen.p95 == pytest.approx(0.030)
    assert seen.response_seconds == pytest.approx(3.0 * 0.045 / 2)
    assert seen.figure.told(seen.response_seconds or 0.0) == "GET /reports/* p95 3s"
    assert seen.figure.counted == ("p95 45ms", "GET /reports/* p95 2s", "* /admin/* p99 5s")


def test_what_is_slow_on_its_own_terms_does_not_make_the_others_slow() -> None:
    """One request in ten is a report of 1 s: p95 of all would be 1 s of 45 ms."""
    seen = window(items=seconds(0.030, 9000), reports=seconds(1.0, 1000))

    assert window(COST, items=seconds(0.030, 9000), reports=seconds(1.0, 1000)).response_seconds == pytest.approx(1.0)
    assert seen.response_seconds == pytest.approx(0.030)
    assert seen.figure.name == "p95"
    assert seen.duration.count == seen.requests == 10_000


def test_a_route_with_few_requests_is_not_judged() -> None:
    """163 requests do not bound a p95, 164 do; 845 and 846 for p99."""
    few = window(items=seconds(0.030, 9000), reports=seconds(9.0, 163), admin=seconds(90.0, 845))
    enough = window(items=seconds(0.030, 9000), reports=seconds(9.0, 164))
    more = window(items=seconds(0.030, 9000), admin=seconds(90.0, 846))

    assert few.figure.counted == ("p95 45ms",)
    assert few.response_seconds == pytest.approx(0.030)
    assert enough.figure.name == "GET /reports/* p95"
    assert more.figure.name == "* /admin/* p99"


def test_where_there_is_nothing_else_a_route_with_few_requests_is() -> None:
    assert window(reports=seconds(1.0, 10)).response_seconds == pytest.approx(1.0 * 0.045 / 2)
    assert window(reports=Histogram(20)).response_seconds is None
    assert window(reports=Histogram(20)).figure.name == "p95"


def test_with_p99_that_is_judged() -> None:
    tail = merge((seconds(0.020, 970), seconds(0.200, 30)))
    seen = window(replace(COST, quantile=P99), items=tail)

    assert seen.p95 == pytest.approx(0.020)
    assert seen.response_seconds == pytest.approx(0.200)
    assert seen.figure.told(seen.response_seconds or 0.0) == "p99 200ms"
    assert seen.lowered(0.03) == pytest.approx(0.020)


def test_the_interval_is_of_the_worst_and_unknown_where_one_is_unknown() -> None:
    known = window(items=seconds(0.030, 9000), reports=seconds(3.0, 500)).interval
    unknown = window(items=seconds(0.030, 20), reports=seconds(3.0, 500)).interval

    assert known == pytest.approx((0.0675, 0.0675), rel=1e-3)
    assert unknown is None


def test_what_comes_in_time_counts_by_its_own_objective() -> None:
    seen = window(items=seconds(0.030, 750), reports=seconds(1.0, 250))

    assert seen.share_within(0.045) == pytest.approx(1.0)
    assert window(COST, items=seconds(0.030, 750), reports=seconds(1.0, 250)).share_within(0.045) == 0.75
    assert window(reports=Histogram(20)).share_within(0.045) == 1.0


def test_single_pods_have_theirs() -> None:
    pods = [
        PodWindow(pod(100, uid, items=Histogram(20), reports=Histogram(20)), pod(110, uid, items=fast, reports=slow))
        for uid, fast, slow in (
            ("a", seconds(0.030, 1000), seconds(1.0, 300)),
            ("b", seconds(0.030, 1000), seconds(3.0, 300)),
        )
    ]
    seen = observe(pods, BOTH)

    assert seen is not None
    alone, other = seen.of({"a"}), seen.of({"b"})
    assert alone is not None
    assert other is not None
    assert alone.response_seconds == pytest.approx(0.030)
    assert other.response_seconds == pytest.approx(0.0675)


def test_many_reports_make_no_pod_a_slow_one() -> None:
    """Of each pod's requests 4 to 6 % are reports, so that p95 of all is 30 ms here and 1 s there."""
    pods = [
        PodWindow(
            pod(100, str(number), items=Histogram(20), reports=Histogram(20)),
            pod(110, str(number), items=seconds(0.030, 10_000), reports=seconds(1.0, count)),
        )
        for number, count in enumerate((400, 450, 500, 500, 600))
    ]
    judged, together = observe(pods, BOTH), observe(pods, COST)

    assert judged is not None
    assert together is not None
    assert (judged.left_out, together.left_out) == (0, 1)


def test_a_pattern_excludes_too() -> None:
    seen = window(replace(BOTH, excluded_routes=frozenset({"GET /reports/*"})), items=seconds(0.03), reports=seconds(9))

    assert seen.requests == 1000
    assert seen.figure.counted == ("p95 45ms",)


def test_a_route_that_a_pod_begins_to_name_voids_its_window() -> None:
    before = pod(100, other=seconds(0.03, 1000))
    after = pod(110, other=seconds(0.03, 1000), reports=seconds(1.0, 500))

    assert observe([PodWindow(before, after)], BOTH) is None
    assert observe([PodWindow(before, after)], COST) is not None
