"""What is tried on some pods first, and what comes of a trial."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.decide import decide
from paceline_operator.core.laws.constraints import within_budgets
from paceline_operator.core.measure.observation import Observation, PodFigures
from paceline_operator.core.model.decision import Change, Decision, Reason, apply_changes
from paceline_operator.core.model.policy import Behavior, Bounds, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Values, cache
from paceline_operator.core.situation.experience import recall
from paceline_operator.core.situation.memory import Ceiling, Measured, Memory, Pending
from paceline_operator.core.situation.situation import Budget, Member, Situation
from paceline_operator.core.verdict.canary import described, judge, tried_first, without_trial
from paceline_operator.core.verdict.pending import remember
from paceline_operator.core.verdict.rollback import BREAKER_ROLLBACKS
from situations import (
    COST,
    MAIN,
    NOW,
    POSTGRES,
    ended,
    fleet,
    lognormal,
    observation,
    pending,
    policy,
    pool_spec,
    seconds,
    situation,
    values,
    workers_spec,
)

MORE = (Change(WORKERS, 4, 5), Change(POSTGRES, 8, 7))
BACK = (Change(WORKERS, 5, 4), Change(POSTGRES, 7, 8))
LOGNORMAL = lognormal(0.020, 20_000)
CHANGE = Decision(MORE, Reason.LOOP_LAG_HIGH, "workers 4→5, postgres 8→7: loop lag; n=1", tuned=True)
TRIED = values(5, 7)


def members(count: int = 6, **first: Any) -> tuple[Member, ...]:
    """Pods `a`, `b`, …; what is named is of the first."""
    others = tuple(Member(uid, values=values()) for uid in "abcdef"[:count])
    return (replace(others[0], **first), *others[1:])


def asked(**changes: Any) -> Situation:
    """Six pods, the objective met."""
    return situation(**{"fleet": fleet(total=6, reporting=6, applied=6, members=members()), **changes})


def trial(**changes: Any) -> Pending:
    return pending(**{"changes": MORE, "tried_on": ("a",), **changes})


def tried(observed: Observation | None, *, given: Pending | None = None, **changes: Any) -> Situation:
    """A trial on pod `a` of six, seen as given; the other pods answer in 20 ms."""
    base = asked(trial=observed, memory=Memory(pending=given or trial()), observation=observation(pods=5))
    seen = fleet(total=6, reporting=6, applied=6, members=members(values=TRIED))
    return replace(base, **{"fleet": seen, **changes})


def pending_of(given: Situation) -> Pending:
    assert given.memory.pending is not None
    return given.memory.pending


def seen(**changes: Any) -> Observation:
    """What the pod on trial reports."""
    return observation(**{"pods": 1, "requests": 4000, "requests_per_second": 66.0, **changes})


FEWER = (Change(WORKERS, 4, 3),)
GIVEN_BACK = fleet(total=6, reporting=6, applied=6, members=members(values=values(3, 8)))


def cost() -> Any:
    return policy(objective=COST)


@pytest.mark.parametrize(
    ("given", "change", "pods"),
    [
        pytest.param(asked(), CHANGE, ("a",), id="workers and the pools that go along"),
        pytest.param(
            asked(policy=policy(behavior=Behavior(min_samples=1000, canary_pods=2))),
            CHANGE,
            ("a", "b"),
            id="as many as asked for",
        ),
        pytest.param(
            asked(policy=policy(behavior=Behavior(min_samples=1000, canary_pods=9))),
            CHANGE,
            ("a", "b", "c"),
            id="never more than half",
        ),
        pytest.param(
            asked(policy=policy(behavior=Behavior(min_samples=1000, canary_pods=0))), CHANGE, (), id="nobody wants it"
        ),
        pytest.param(asked(fleet=fleet(members=members(3))), CHANGE, (), id="three pods"),
        pytest.param(asked(fleet=fleet(members=members(4, ready=False))), CHANGE, (), id="three ready pods"),
        pytest.param(asked(fleet=fleet(members=members(5, applied=False))), CHANGE, ("b",), id="one that has acked"),
        pytest.param(asked(fleet=fleet(members=members(5, addressable=False))), CHANGE, ("b",), id="one with a uid"),
        pytest.param(asked(fleet=fleet()), CHANGE, (), id="pods without names"),
        pytest.param(asked(observation=observation(duration=seconds(0.046))), CHANGE, (), id="objective missed"),
        pytest.param(asked(observation=observation(duration=seconds(0.02, 0))), CHANGE, (), id="no p95"),
        pytest.param(asked(observation=observation(left_out=1)), CHANGE, (), id="a pod stands out"),
        pytest.param(asked(observation=observation(requests=700)), CHANGE, (), id="too few requests for one pod"),
        pytest.param(asked(observation=None), CHANGE, (), id="nothing measured"),
        pytest.param(asked(policy=policy(objective=None)), CHANGE, (), id="no objective"),
        pytest.param(asked(), replace(CHANGE, tuned=False), (), id="what a person or a bound demands"),
        pytest.param(asked(), replace(CHANGE, changes=MORE[1:]), ("a",), id="a pool alone"),
        pytest.param(
            asked(), replace(CHANGE, reason=Reason.DATABASE_SATURATED), (), id="what shows when all pods have it"
        ),
        pytest.param(asked(memory=Memory(tried="a")), CHANGE, ("b",), id="pods take turns"),
        pytest.param(asked(memory=Memory(tried="f")), CHANGE, ("a",), id="and begin anew"),
        pytest.param(
            asked(policy=policy(behavior=Behavior(min_samples=1000, canary_share=0.25))),
            CHANGE,
            ("a", "b"),
            id="a quarter of six",
        ),
        pytest.param(
            asked(policy=policy(behavior=Behavior(min_samples=1000, canary_share=0.0))), CHANGE, (), id="no share"
        ),
        pytest.param(
            asked(), replace(CHANGE, changes=(*MORE, Change(cache("responses"), 60, 30))), (), id="with a cache"
        ),
        pytest.param(asked(), replace(CHANGE, changes=(Change(WORKERS, None, 5),)), (), id="from an unknown value"),
        pytest.param(asked(memory=Memory(pending=trial())), CHANGE, (), id="what has just been tried"),
        pytest.param(asked(memory=Memory(pending=pending())), CHANGE, ("a",), id="after another change"),
        pytest.param(asked(), Decision((), Reason.WITHIN_TOLERANCE, "fine"), (), id="a hold"),
    ],
)
def test_what_is_tried_first(given: Situation, change: Decision, pods: tuple[str, ...]) -> None:
    decision = tried_first(given, change)
    assert decision.tried_on == pods
    assert (decision.message == change.message) is not bool(pods)


def test_the_sentence_says_where_and_the_common_values_stay() -> None:
    decision = tried_first(asked(), CHANGE)

    assert decision.message == "trying workers 4→5, postgres 8→7 on 1 of 6 pods: loop lag; n=1"
    assert decision.common(values()) == values()
    assert decision.overrides == {"a": TRIED}
    assert CHANGE.common(values()) == TRIED
    assert not CHANGE.overrides


def test_a_trial_is_remembered_with_its_pods_and_their_template() -> None:
    given = asked(fleet=fleet(total=6, template="t", members=members()))
    memory = remember(given, Memory(), tried_first(given, CHANGE), 18)

    assert memory.pending is not None
    assert (memory.pending.tried_on, memory.pending.template, memory.pending.generation) == (("a",), "t", 18)
    assert memory.changes == (NOW,)
    assert not memory.rejected, "what is in force has not been outgrown yet"
    assert described(memory.pending, 6) == "workers 4→5, postgres 8→7 on 1 of 6 pods"
    assert without_trial(memory).pending is None


@pytest.mark.parametrize("memory", [Memory(), Memory(pending=pending())])
def test_what_is_no_trial_stays(memory: Memory) -> None:
    assert without_trial(memory) == memory


@pytest.mark.parametrize(
    ("given", "reason", "said"),
    [
        pytest.param(tried(seen()), Reason.LOOP_LAG_HIGH, "for all pods, tried", id="as fast"),
        pytest.param(tried(seen(duration=seconds(0.0215))), Reason.LOOP_LAG_HIGH, "for all", id="within the dead band"),
        pytest.param(
            tried(seen(duration=seconds(0.024))), Reason.ROLLED_BACK, "p95 24ms where it was tried, 20ms", id="slower"
        ),
        pytest.param(
            tried(seen(requests=200, duration=lognormal(0.024, 200)), observation=observation(duration=LOGNORMAL)),
            Reason.LOOP_LAG_HIGH,
            "for all",
            id="few samples",
        ),
        pytest.param(
            tried(seen(errors=10)), Reason.ROLLED_BACK, "errors 0.25% where it was tried, 0.00%", id="more errors"
        ),
        pytest.param(tried(seen(requests=200, errors=3)), Reason.LOOP_LAG_HIGH, "for all", id="errors by chance"),
        pytest.param(tried(seen(requests=200, errors=6)), Reason.ROLLED_BACK, "errors", id="errors beyond chance"),
        pytest.param(
            tried(seen(errors=80), observation=observation(pods=5, errors=400)),
            Reason.LOOP_LAG_HIGH,
            "for all",
            id="as many errors as elsewhere",
        ),
        pytest.param(
            tried(seen(duration=seconds(0.04)), policy=cost(), given=trial(changes=FEWER), fleet=GIVEN_BACK),
            Reason.LOOP_LAG_HIGH,
            "for all",
            id="meets cheaper",
        ),
        pytest.param(
            tried(seen(), policy=cost()),
            Reason.EXTERNAL_CHANGE,
            "met with room without it",
            id="more than is needed",
        ),
        pytest.param(tried(None), Reason.COOLING_DOWN, "no verdict yet", id="not seen yet"),
        pytest.param(tried(seen(requests=199)), Reason.COOLING_DOWN, "no verdict yet", id="too few samples"),
        pytest.param(tried(seen(), observation=None), Reason.COOLING_DOWN, "no verdict yet", id="others not seen yet"),
        pytest.param(
            tried(seen(requests_per_second=-1.0)), Reason.COOLING_DOWN, "no verdict yet", id="an impossible window"
        ),
        pytest.param(
            tried(None, given=trial(deadline=NOW)), Reason.ROLLED_BACK, "before its deadline", id="never seen"
        ),
        pytest.param(
            tried(seen(), fleet=fleet(total=6, members=members(values=TRIED, ended=ended()))),
            Reason.ROLLED_BACK,
            "1 of 1 pods restarted since",
            id="restarted",
        ),
        pytest.param(
            tried(None, fleet=fleet(total=6, members=members(ended=ended(out_of_memory=True)))),
            Reason.OUT_OF_MEMORY,
            "1 of 1 pods killed for memory since",
            id="killed for memory",
        ),
        pytest.param(
            tried(seen(), fleet=fleet(total=6, members=members(values=values(4, 7)))),
            Reason.ROLLED_BACK,
            "a pod grants workers 4",
            id="granted less",
        ),
        pytest.param(
            tried(None, fleet=fleet(total=6, members=members(values=values(), applied=False))),
            Reason.COOLING_DOWN,
            "no verdict yet",
            id="under way",
        ),
        pytest.param(
            tried(seen(), fleet=fleet(total=5, members=members()[1:])),
            Reason.EXTERNAL_CHANGE,
            "a pod that tried it has gone",
            id="its pod is gone",
        ),
        pytest.param(
            tried(seen(), fleet=fleet(total=6, members=members(values=TRIED), rolling_out=True)),
            Reason.EXTERNAL_CHANGE,
            "rolled out anew",
            id="rollout",
        ),
        pytest.param(
            tried(seen(), policy=policy(workers_spec(), pool_spec(8, 40))),
            Reason.EXTERNAL_CHANGE,
            "no longer allows",
            id="bounds have moved",
        ),
        pytest.param(
            tried(seen(), policy=policy(workers_spec(), TunableSpec(POSTGRES, pinned=8))),
            Reason.EXTERNAL_CHANGE,
            "no longer allows",
            id="pinned since",
        ),
        pytest.param(
            tried(seen(), policy=policy(workers_spec())), Reason.EXTERNAL_CHANGE, "no longer allows", id="not named"
        ),
        pytest.param(
            tried(
                seen(),
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(32, 1)},
            ),
            Reason.EXTERNAL_CHANGE,
            "no longer allows",
            id="a budget that has shrunk",
        ),
    ],
)
def test_what_comes_of_a_trial(given: Situation, reason: Reason, said: str) -> None:
    decision, memory = decide(given)

    assert decision.reason is reason
    assert said in decision.message
    assert "on 1 of 6 pods" in decision.message or len(given.fleet.members) == 5
    if reason is Reason.LOOP_LAG_HIGH:
        assert (decision.changes, decision.tuned, decision.tried_on) == (pending_of(given).changes, True, ())
    elif reason is Reason.COOLING_DOWN:
        assert (decision.changes, memory.pending) == ((), given.memory.pending)
        return
    else:
        assert (decision.changes, decision.tuned) == (BACK, False)
    assert memory.pending is None
    assert bool(memory.rejected) == (reason in (Reason.ROLLED_BACK, Reason.OUT_OF_MEMORY))


def test_what_was_slow_on_some_pods_is_known_and_rejected() -> None:
    given = tried(seen(duration=seconds(0.024)))
    _, memory = decide(given)

    assert [rejected.values for rejected in memory.rejected] == [TRIED]
    assert memory.rollbacks == (NOW,)
    known = recall(replace(given, memory=memory), TRIED, 66.0)
    assert known is not None
    assert known.p95_seconds == pytest.approx(0.024, rel=0.01)


def test_workers_that_a_pod_did_not_survive_are_a_ceiling() -> None:
    _, memory = decide(tried(None, fleet=fleet(total=6, template="t", members=members(ended=ended()))))
    assert memory.ceiling == Ceiling(5, "t")


def test_nothing_is_learnt_of_a_trial_that_was_given_up() -> None:
    given = tried(seen(), fleet=fleet(total=5, members=members()[1:]))
    _, memory = decide(given)
    assert memory == replace(given.memory, pending=None)


def test_a_promoted_change_is_verified_as_any_other() -> None:
    given = tried(seen())
    decision, memory = decide(given)
    memory = remember(given, memory, decision, 19)

    assert memory.pending is not None
    assert memory.pending.tried_on == ()
    assert memory.pending.baseline == Measured.of(observation(pods=5))


def test_a_probe_need_gain_nothing_on_single_pods() -> None:
    decision, _ = judge(tried(seen()), trial(reason=Reason.PROBE))
    assert decision.reason is Reason.PROBE


def test_a_hand_on_the_values_ends_a_trial() -> None:
    given = tried(seen(), policy=policy(TunableSpec(WORKERS, pinned=2), pool_spec()))
    decision, memory = decide(given)
    assert (decision.reason, decision.overrides, memory.pending) == (Reason.PINNED_BY_SPEC, {}, None)


def test_three_trials_taken_back_suspend_tuning() -> None:
    memory = Memory(pending=trial(), rollbacks=(NOW - timedelta(minutes=2), NOW - timedelta(minutes=1)))
    _, memory = decide(tried(seen(duration=seconds(0.03)), memory=memory))
    assert len(memory.rollbacks) == BREAKER_ROLLBACKS
    decision, _ = decide(asked(memory=memory, now=NOW + timedelta(minutes=1), observation=observation(pods=6)))
    assert decision.reason is Reason.TUNING_SUSPENDED


@given(
    workers=st.integers(1, 8),
    postgres=st.integers(1, 20),
    now=st.tuples(st.integers(1, 8), st.integers(1, 20)),
    connections=st.integers(1, 700),
    pods=st.integers(0, 7),
)
def test_no_mixture_of_pods_breaks_bounds_or_budget(
    workers: int, postgres: int, now: tuple[int, int], connections: int, pods: int
) -> None:
    """Pods at the old values, at the new, or at the larger of both while they change."""
    old, new = values(*now), values(workers, postgres)
    changes = tuple(Change(tunable, old[tunable], new[tunable]) for tunable in old if old[tunable] != new[tunable])
    given = asked(
        policy=policy(
            workers_spec(1, 8),
            TunableSpec(POSTGRES, bounds=Bounds(1, 20), budget=MAIN),
            behavior=Behavior(min_samples=1000, canary_pods=pods),
        ),
        values=old,
        budgets={MAIN: Budget(connections, 6)},
    )
    if not (within_budgets(given, old) and within_budgets(given, new)):
        return
    decision = tried_first(given, replace(CHANGE, changes=changes))
    assert decision == tried_first(given, replace(CHANGE, changes=changes))
    assert len(decision.tried_on) <= 3

    def opened(running: Values) -> float:
        return running[WORKERS] * running[POSTGRES]

    per_pod: Mapping[str, Values] = {uid: apply_changes(old, ()) | v for uid, v in decision.overrides.items()}
    running = [max(opened(old), opened(per_pod.get(member.uid, old))) for member in given.fleet.members]
    assert sum(running) <= connections
    for override in decision.overrides.values():
        assert all(given.policy.tunables[tunable].allowed(value) == value for tunable, value in override.items())


def figures(p95: float, requests: int = 4000, errors: int = 0) -> PodFigures:
    return PodFigures(requests, errors, requests / 60, lognormal(p95, requests))


def slow_from_the_start(since: float, *, errors: int = 0) -> tuple[Decision, Memory]:
    """Pod `a` took 25 ms before its trial, the others 20 ms; since then as given, and 21 ms elsewhere."""
    each = {"a": figures(0.025, errors=errors), **{uid: figures(0.020) for uid in "bcdef"}}
    before = asked(observation=observation(pods=6, each=each))
    memory = remember(before, Memory(), tried_first(before, CHANGE), 18)
    assert memory.pending is not None
    assert memory.pending.past is not None
    assert memory.pending.baseline.pods == 5
    others = observation(pods=5, duration=lognormal(0.021, 20_000))
    return decide(tried(seen(duration=lognormal(since, 4000), errors=errors), memory=memory, observation=others))


def test_a_pod_that_was_slower_before_is_compared_with_its_own_past() -> None:
    decision, memory = slow_from_the_start(0.0262)
    assert decision.reason is Reason.LOOP_LAG_HIGH
    assert memory.tried == "a"
    decision, _ = slow_from_the_start(0.034)
    assert decision.reason is Reason.ROLLED_BACK
    assert "p95 25" in decision.message


def test_a_pod_that_failed_more_before_is_compared_with_its_own_past() -> None:
    assert slow_from_the_start(0.0262, errors=200)[0].reason is Reason.LOOP_LAG_HIGH


def test_the_figures_of_single_pods() -> None:
    window = observation(each={"a": figures(0.02, 100, 1), "b": figures(0.04, 300, 2)})
    both = window.of({"a", "b"})
    assert both is not None
    assert (both.pods, both.requests, both.errors, both.requests_per_second) == (2, 400, 3, pytest.approx(400 / 60))
    assert window.of(set()) is None
    assert window.of({"a", "c"}) is None
