"""What a change must have gained to stay, and what is learnt where it gained too little."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.policy import Objective, Prefer
from paceline_operator.core.model.tunables import WORKERS, cache
from paceline_operator.core.situation.doubts import doubt_of, trusted, trusted_share
from paceline_operator.core.situation.memory import Doubt, Measured, Memory, Pending
from paceline_operator.core.situation.situation import Situation
from paceline_operator.core.verdict.pending import remember
from paceline_operator.core.verdict.rollback import MOST_REJECTED
from paceline_operator.core.verdict.verify import verify
from situations import (
    COST,
    NOW,
    POSTGRES,
    fleet,
    lognormal,
    measured,
    observation,
    pending,
    policy,
    served,
    situation,
    values,
)

MORE_WORKERS = (Change(WORKERS, 2, 4),)
FEWER_WORKERS = (Change(WORKERS, 5, 4),)


def before(p95: float, count: int = 20_000) -> Measured:
    found = Measured.of(observation(duration=lognormal(p95, count), requests=count))
    assert found is not None
    return found


def after(p95: float, count: int = 20_000, **changes: Any) -> Observation:
    return observation(duration=lognormal(p95, count), requests=count, **changes)


def judged(change: Pending, window: Observation, **changes: Any) -> tuple[str, Memory]:
    """`kept`, `back` or `waits`."""
    given = situation(**{"memory": Memory(pending=change), "observation": window, "policy": cheap(), **changes})
    decision, memory = verify(given)
    if decision is not None:
        return "back", memory
    return ("waits" if memory.pending else "kept"), memory


def cheap() -> Any:
    return policy(objective=COST)


@pytest.mark.parametrize(
    ("promised", "was", "now", "verdict"),
    [
        pytest.param(0.4, 0.060, 0.040, "kept", id="now surely met"),
        pytest.param(0.1, 0.050, 0.042, "kept", id="now surely met, whatever was promised"),
        pytest.param(0.4, 0.090, 0.060, "kept", id="still missed, most of the gain is seen"),
        pytest.param(0.4, 0.080, 0.060, "kept", id="more than half"),
        pytest.param(0.4, 0.080, 0.0645, "waits", id="about half: chance decides"),
        pytest.param(0.4, 0.080, 0.075, "back", id="a little"),
        pytest.param(0.4, 0.067, 0.068, "back", id="nothing"),
        pytest.param(0.4, 0.060, 0.090, "back", id="harm"),
        pytest.param(0.4, 0.0455, 0.0448, "back", id="met by chance"),
        pytest.param(0.05, 0.060, 0.059, "waits", id="a small promise needs more windows"),
    ],
)
def test_growth_is_kept_for_what_it_gained(promised: float, was: float, now: float, verdict: str) -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(was), promised=promised)
    assert judged(change, after(now))[0] == verdict


@pytest.mark.parametrize(
    ("now", "verdict"), [pytest.param(0.047, "kept", id="just enough"), pytest.param(0.049, "back", id="just not")]
)
def test_the_last_window_decides_by_what_was_measured(now: float, verdict: str) -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(0.060), promised=0.4, voids=1)
    assert judged(change, after(now))[0] == verdict


def test_half_of_a_promise_need_not_be_seen_where_the_last_window_meets_the_objective() -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(0.047), promised=0.1, voids=1)
    assert judged(change, after(0.0448))[0] == "kept"


def test_growth_while_the_objective_is_met_must_gain_too() -> None:
    fast = policy(objective=Objective(timedelta(milliseconds=45), prefer=Prefer.LATENCY))
    change = pending(changes=MORE_WORKERS, baseline=before(0.020), promised=0.3)
    assert judged(change, after(0.0202), policy=fast)[0] == "back"
    assert judged(change, after(0.0150), policy=fast)[0] == "kept"


@pytest.mark.parametrize(
    ("change", "window", "verdict"),
    [
        pytest.param(MORE_WORKERS, after(20.0, requests_per_second=600.0), "kept", id="more is served"),
        pytest.param(MORE_WORKERS, after(14.0), "kept", id="faster"),
        pytest.param(MORE_WORKERS, after(20.4), "back", id="nothing"),
        pytest.param((Change(POSTGRES, 7, 8),), after(20.4), "kept", id="one connection more: too little to tell"),
    ],
)
def test_growth_without_a_promise(change: tuple[Change, ...], window: Observation, verdict: str) -> None:
    swamped = pending(changes=change, baseline=before(20.0), voids=1)
    assert judged(swamped, window)[0] == verdict


@pytest.mark.parametrize(
    ("now", "voids", "verdict"),
    [
        pytest.param(0.044, 0, "kept", id="slower, and met"),
        pytest.param(0.0455, 0, "waits", id="missed by chance, perhaps"),
        pytest.param(0.0455, 1, "back", id="missed twice, and slower"),
        pytest.param(0.060, 0, "back", id="surely missed"),
    ],
)
def test_what_was_given_back_must_leave_the_objective_met(now: float, voids: int, verdict: str) -> None:
    change = pending(changes=FEWER_WORKERS, baseline=before(0.040), reason=Reason.WORKERS_OVERSIZED, voids=voids)
    assert judged(change, after(now))[0] == verdict


def test_more_slow_requests_are_not_slower_requests() -> None:
    """4.4 % of the requests are reports of 2 s, then 5.2 %."""

    def mixed(reports: float, **changes: Any) -> Observation:
        duration = bimodal(reports)
        return observation(duration=duration, requests=20_000, **changes)

    named = {"mix": {"GET /": 0.956, "GET /reports": 0.044}}
    for reports, mix, verdict in (
        (0.052, {}, "kept"),
        (0.052, {"mix": {"GET /": 0.948, "GET /reports": 0.052}}, "kept"),
        (0.100, {"mix": {"GET /": 0.900, "GET /reports": 0.100}}, "kept"),
        (0.100, {"mix": named["mix"]}, "back"),
        (0.100, {}, "back"),
    ):
        was = Measured.of(mixed(0.044, **(named if mix else {})))
        assert was is not None
        for reason in (Reason.WORKERS_OVERSIZED, Reason.LOOP_LAG_HIGH):
            change = pending(changes=FEWER_WORKERS, baseline=was, reason=reason)
            first, memory = judged(change, mixed(reports, **mix))
            assert first == ("waits" if verdict == "kept" else "back")
            if memory.pending is not None:
                assert judged(memory.pending, mixed(reports, **mix))[0] == verdict


def bimodal(slow: float) -> Any:
    number = round(20_000 * slow)
    return merge((lognormal(0.005, 20_000 - number, 0.1), lognormal(2.0, number, 0.1)))


def test_what_gained_nothing_is_neither_retried_under_this_load_nor_expected_of_other_counts() -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(0.067), promised=0.5)
    verdict, memory = judged(change, after(0.068), fleet=fleet(template="t"))

    assert verdict == "back"
    (rejected,) = memory.rejected
    assert (rejected.values, rejected.template, rejected.load) == (values(), "t", pytest.approx(83.25))
    doubt = memory.doubts["workers"]
    assert (doubt.seen, doubt.template, doubt.until) == (0.0, "t", NOW + timedelta(minutes=192))

    now = situation(memory=memory, values=values(2, 8), fleet=fleet(template="t"), observation=after(0.067))
    for count in (3, 4, 8):
        assert trusted_share(now, values(count, 8)) == 0
    assert trusted_share(now, values(1, 8)) == 1
    assert trusted_share(now, values(2, 7)) == 1


def doubting(**changes: Any) -> Situation:
    memory = Memory(doubts={"workers": Doubt(0.1, 80.0, "t", NOW + timedelta(hours=1))})
    return situation(**{"memory": memory, "fleet": fleet(template="t"), **changes})


@pytest.mark.parametrize(
    ("given", "holds"),
    [
        pytest.param(doubting(), True, id="it holds"),
        pytest.param(doubting(now=NOW + timedelta(hours=1)), False, id="its time is over"),
        pytest.param(doubting(fleet=fleet(template="other")), False, id="other pods"),
        pytest.param(doubting(observation=observation(requests_per_second=490.0)), False, id="half as much load again"),
        pytest.param(doubting(observation=observation(cpu_seconds=700.0)), False, id="loops are busy"),
        pytest.param(doubting(observation=observation(cpu_seconds=100.0)), True, id="loops are idle"),
        pytest.param(doubting(observation=None), False, id="nothing measured"),
    ],
)
def test_when_a_doubt_holds(given: Situation, holds: bool) -> None:
    assert (doubt_of(given, WORKERS) is not None) is holds


def test_doubts_last_longer_each_time_and_end_with_what_gains() -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(0.067), promised=0.5)
    again = Memory(pending=change, doubts={"workers": Doubt(0.4, 83.0, "", NOW - timedelta(hours=1))})
    verdict, memory = judged(change, after(0.068), memory=again)
    assert (verdict, memory.doubts["workers"].times) == ("back", 2)
    assert memory.doubts["workers"].until == NOW + timedelta(minutes=384)

    verdict, memory = judged(change, after(0.040), memory=again)
    assert (verdict, memory.doubts) == ("kept", {})
    assert trusted(again, (POSTGRES,)) is again


def test_what_the_model_promises_is_cut_down_to_what_was_seen() -> None:
    """One worker where two would halve the wait: the model says so, until it was seen that they do not."""
    slow = served(2, 5, window={"duration": lognormal(0.060, 48_000), "loop_lag": lognormal(0.02, 10_000)})
    decision, memory = decide(slow)
    assert decision.promised is not None
    assert decision.promised > 0.1
    memory = remember(slow, memory, decision, 18)
    assert memory.pending is not None
    assert memory.pending.promised == decision.promised

    in_force = {**slow.values, **{change.tunable: change.new for change in decision.changes}}
    later = replace(slow, memory=memory, values=in_force, now=NOW + timedelta(minutes=2))
    back, memory = decide(later)
    assert back.reason is Reason.ROLLED_BACK
    for minutes in range(4, 60):
        quiet, memory = decide(replace(slow, memory=memory, now=NOW + timedelta(minutes=minutes)))
        assert all(change.new <= (change.old or 0) for change in quiet.changes), quiet


def test_growth_without_a_model_is_not_tried_again_either() -> None:
    memory = Memory(doubts={"workers": Doubt(0.0, 83.0, "", NOW + timedelta(hours=1))})
    lagging = observation(loop_lag=lognormal(0.05, 10_000))
    first, _ = decide(situation(observation=lagging))
    assert Change(WORKERS, 4, 5) in first.changes or Change(WORKERS, 4, 8) in first.changes
    second, _ = decide(situation(observation=lagging, memory=memory))
    assert not second.changes
    assert "gained nothing under such a load" in second.message


def test_only_the_newest_rejections_are_kept() -> None:
    change = pending(changes=MORE_WORKERS, baseline=before(0.067), promised=0.5)
    memory = Memory(pending=change)
    for _ in range(MOST_REJECTED + 1):
        _, memory = judged(change, after(0.068), memory=replace(memory, pending=change))
    assert len(memory.rejected) == MOST_REJECTED


def test_an_interval_without_buckets_is_that_of_a_lognormal() -> None:
    rough = measured(samples=2000)
    assert (rough.low, rough.high) == (pytest.approx(0.018, abs=0.0001), pytest.approx(0.0222, abs=0.0001))
    fine = before(0.020, 2000)
    assert (fine.low, fine.high) == (pytest.approx(0.0182, abs=0.0002), pytest.approx(0.0224, abs=0.0004))


def test_a_longer_ttl_need_only_leave_the_objective_met() -> None:
    responses = cache("responses")
    longer = pending(changes=(Change(responses, 30, 60),), baseline=before(0.030), reason=Reason.CACHE_MISSES_HIGH)
    assert judged(longer, after(0.044), values={**values(), responses: 60.0})[0] == "kept"


def test_a_probe_that_took_more_must_gain_a_tenth_too() -> None:
    fast = policy(objective=Objective(timedelta(milliseconds=45), prefer=Prefer.LATENCY))
    change = pending(changes=MORE_WORKERS, baseline=before(0.020), reason=Reason.PROBE)
    assert judged(change, after(0.0190), policy=fast)[0] == "back"


def test_nothing_is_judged_that_nothing_was_measured_before() -> None:
    change = Decision(MORE_WORKERS, Reason.LOOP_LAG_HIGH, "more", tuned=True)
    assert remember(situation(observation=None), Memory(), change, 18).pending is None
