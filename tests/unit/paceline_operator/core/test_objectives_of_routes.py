"""The loop under several objectives, and under p99: what is judged, what is said, what does not compare."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.choice.admission import with_admission
from paceline_operator.core.decide import decide
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import responses_of
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.objectives import P99, Target
from paceline_operator.core.model.policy import Bounds
from paceline_operator.core.model.tunables import ADMISSION_P95, WORKERS
from paceline_operator.core.situation.memory import Measured, Memory
from paceline_operator.core.verdict.compare import confounded, described
from paceline_operator.core.verdict.verify import verify
from situations import COST, lognormal, observation, pending, policy, seconds, served, situation

REPORTS = Target(timedelta(seconds=2), match="GET /reports/*")
WITH_REPORTS = replace(COST, routes=(REPORTS,))
BY_P99 = replace(COST, quantile=P99)


def mixed(others: float, reports: float, share: float = 0.05, count: int = 20_000, **changes: Any) -> Observation:
    """A share of the requests are reports; the two p95s in seconds."""
    of_reports = round(share * count)
    durations = [lognormal(others, count - of_reports), lognormal(reports, of_reports)]
    responses = responses_of(WITH_REPORTS.targets, durations)
    mix = {"GET /": 1 - share, "GET /reports/*": share}
    return observation(requests=count, duration=merge(durations), responses=responses, mix=mix, **changes)


def measured_of(seen: Observation) -> Measured:
    found = Measured.of(seen)
    assert found is not None
    return found


def test_the_objective_that_is_missed_is_named_with_its_own_figures() -> None:
    given = served(4, 3)
    assert given.observation is not None
    durations = [given.observation.duration, lognormal(3.0, 2000)]
    window = {"duration": merge(durations), "responses": responses_of(WITH_REPORTS.targets, durations)}
    decision, _ = decide(served(4, 3, window=window, policy=policy(objective=WITH_REPORTS)))

    assert decision.reason is Reason.OBJECTIVE_INFEASIBLE
    assert "GET /reports/* p95 3" in decision.message
    assert "s, objective 2s: neither" in decision.message


def test_slow_reports_within_their_objective_let_nothing_grow() -> None:
    """p95 of all the requests together is that of the reports, 1.9 s of 45 ms."""
    given = served(4, 3)
    assert given.observation is not None
    durations = [given.observation.duration, lognormal(1.9, given.observation.duration.count // 10)]
    duration = merge(durations)
    window = {"duration": duration, "responses": responses_of(WITH_REPORTS.targets, durations)}
    apart, _ = decide(served(4, 3, window=window, policy=policy(objective=WITH_REPORTS)))
    together, _ = decide(served(4, 3, window={"duration": duration}, policy=policy(objective=COST)))

    assert not any(change.old is not None and change.new > change.old for change in apart.changes)
    assert apart.reason is not Reason.OBJECTIVE_INFEASIBLE
    assert together.changes != apart.changes or together.reason is not apart.reason


@pytest.mark.parametrize("share", [0.052, 0.06])
def test_more_reports_are_nobody_s_fault_where_they_have_their_own_objective(share: float) -> None:
    before, after = mixed(0.020, 1.0, 0.044), mixed(0.020, 1.0, share)
    change = pending(changes=(Change(WORKERS, 5, 4),), baseline=measured_of(before))
    given = situation(memory=Memory(pending=change), observation=after, policy=policy(objective=WITH_REPORTS))
    decision, memory = verify(given)

    assert decision is None
    assert memory.pending is None


def test_a_change_that_makes_the_reports_slower_goes_back_and_says_so() -> None:
    before, after = mixed(0.020, 1.0), mixed(0.020, 4.0)
    change = pending(changes=(Change(WORKERS, 5, 4),), baseline=measured_of(before))
    decision, _ = verify(
        situation(memory=Memory(pending=change), observation=after, policy=policy(objective=WITH_REPORTS))
    )

    assert decision is not None
    assert decision.reason is Reason.ROLLED_BACK
    assert "GET /reports/* p95 1s → 4" in decision.message
    assert "above the objective of 2s" in decision.message


def test_windows_in_which_not_the_same_objectives_could_be_judged_do_not_compare() -> None:
    """In one of them there were 60 reports, too few to tell."""
    many, few = measured_of(mixed(0.020, 1.0)), measured_of(mixed(0.020, 1.0, share=0.003))
    plain = measured_of(observation(duration=lognormal(0.020, 20_000), requests=20_000))

    assert confounded(many, few)
    assert confounded(plain, many)
    assert not confounded(many, replace(many, p95_seconds=2 * many.p95_seconds))


def test_where_another_objective_is_the_worst_one_now_both_are_named() -> None:
    before, after = measured_of(mixed(0.030, 1.0)), measured_of(mixed(0.030, 3.0))

    assert described(before, after).startswith("p95 30")
    assert " → GET /reports/* p95 3" in described(before, after)
    assert described(after, after).count("GET /reports/*") == 1


def test_p99_is_judged_and_named() -> None:
    """p95 is 20 ms, p99 200 ms of 45 ms."""
    duration = merge((seconds(0.020, 19_000), seconds(0.200, 1000)))
    given = served(4, 3)
    window = {"duration": duration, "responses": responses_of(BY_P99.targets, [duration])}
    decision, memory = decide(served(4, 3, window=window, policy=policy(objective=BY_P99)))

    assert given.policy.objective is not None
    assert "p99 200ms" in decision.message
    assert memory.first is not None
    assert memory.first.figure.counted == ("p99 45ms",)
    assert memory.first.p95_seconds == pytest.approx(0.200)


def test_a_worker_brakes_only_for_what_is_slow_to_the_slowest_objective() -> None:
    named = policy(objective=WITH_REPORTS, admission=Bounds(4, 64))
    decision, _ = with_admission(
        situation(policy=named, observation=None), Decision((), Reason.NO_TRAFFIC, ""), Memory()
    )

    assert {change.tunable: change.new for change in decision.changes}[ADMISSION_P95] == 2.0
