"""With `prefer: cost`, nothing grows while the objective is met with room: whatever else a situation holds."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.choice.cost import cost, too_little
from paceline_operator.core.choice.learning import model_of, remembering
from paceline_operator.core.decide import decide
from paceline_operator.core.guards.growth import left_alone
from paceline_operator.core.measure.observation import CacheObservation
from paceline_operator.core.model.decision import Change, Decision, Reason, apply_changes, growing
from paceline_operator.core.model.policy import Bounds, TunableSpec
from paceline_operator.core.model.tunables import ADMISSION_MAX, ADMISSION_MIN, WORKERS, Values, cache
from paceline_operator.core.situation.memory import (
    Busy,
    Drowned,
    Known,
    Memory,
    Noise,
    Oversized,
    Pending,
    Probing,
    Rejected,
)
from paceline_operator.core.situation.room import HEADROOM, nothing_grows, planned_rise
from paceline_operator.core.situation.situation import Budget, Fleet, Member, Situation
from situations import (
    COST,
    MAIN,
    NOW,
    OBJECTIVE,
    POSTGRES,
    answers,
    fleet,
    measured,
    observation,
    pending,
    policy,
    pool_spec,
    postgres_seen,
    seconds,
    served,
    situation,
    values,
    workers_spec,
)

LESS = (values(1, 3),) * 4
RESPONSES = cache("responses")
PAGES = TunableSpec(RESPONSES, bounds=Bounds(5, 300))


def example() -> Situation:
    """k8s/examples/auto.yaml: two pods of one worker, 100 requests a second each, 1 ms of CPU, far below 45 ms."""
    return situation(
        policy=policy(workers_spec(1, 4), pool_spec(2, 20), objective=COST),
        values=values(1, 5),
        fleet=fleet(total=2, reporting=2, applied=2),
        observation=observation(
            pods=2,
            requests=12_000,
            requests_per_second=200.0,
            cpu_seconds=12.0,
            cpu_limit=2.0,
            cpu_ratio=0.05,
            throttled_ratio=0.0,
            duration=answers(0.0041, 0.0022, 12_000),
            loop_lag=seconds(0.00005, 1200),
            pools=postgres_seen(limit=5, hold=seconds(0.0012, 12_000), arrivals_per_worker=100.0),
        ),
    )


@pytest.mark.invariant
def test_the_example_far_below_its_objective_is_left_alone_and_gives_connections_back() -> None:
    given_situation = example()
    for window in range(10):
        now = NOW + window * timedelta(minutes=1)
        decision, memory = decide(replace(given_situation, now=now))
        assert not growing(given_situation.values, apply_changes(given_situation.values, decision.changes))
        after = apply_changes(given_situation.values, decision.changes)
        given_situation = replace(given_situation, memory=memory, values=after)

    assert given_situation.values == values(1, 2)


def test_speed_is_for_a_policy_that_prefers_it() -> None:
    fast = replace(example(), policy=policy(workers_spec(1, 4), pool_spec(2, 20), objective=OBJECTIVE))
    decision, _ = decide(fast)

    assert growing(fast.values, apply_changes(fast.values, decision.changes))


seconds_of = st.floats(0.0001, 0.2)
counts = st.integers(1, 16)


@st.composite
def pendings(draw: st.DrawFn) -> Pending | None:
    """A change of anything that waits for its verdict, on all pods or on one."""
    old, new = draw(counts), draw(counts)
    if old == new:
        return None
    return pending(
        changes=(Change(draw(st.sampled_from((WORKERS, POSTGRES))), old, new),),
        reason=draw(st.sampled_from((Reason.LOOP_LAG_HIGH, Reason.PROBE, Reason.DATABASE_SATURATED))),
        baseline=measured(p95_seconds=draw(seconds_of)),
        deadline=NOW + timedelta(minutes=draw(st.sampled_from((-1, 5)))),
        tried_on=draw(st.sampled_from(((), ("a",)))),
    )


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    setting = st.builds(values, counts, counts)
    drowned = Drowned(64.0, 0.05, 900.0, NOW + timedelta(hours=1))
    return Memory(
        pending=draw(pendings()),
        oversized=draw(st.sampled_from(({}, {"postgres": Oversized(5, 2)}))),
        known=tuple(Known(draw(setting), 200.0, draw(seconds_of), 3, NOW) for _ in range(draw(st.integers(0, 3)))),
        probing=draw(st.sampled_from((Probing(), Probing(0, NOW)))),
        fastest=draw(st.sampled_from(({}, {"postgres": 0.001}, {"postgres": 0.006}))),
        drowned=draw(st.sampled_from(({}, {"postgres": drowned}))),
        busy=draw(st.sampled_from(((), (Busy(NOW - timedelta(minutes=20), 300.0),)))),
        wanted=tuple(draw(st.lists(setting, max_size=6))),
    )


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    members = tuple(Member(uid, values=values(2, 4)) for uid in "abcd")
    return fleet(
        members=draw(st.sampled_from(((), members))),
        unregistered=draw(st.sampled_from(((), ("10.0.0.1:5432",)))),
        clamped=draw(st.sampled_from(({}, {WORKERS: "memory"}))),
        reporting=draw(st.sampled_from((3, 4))),
    )


@st.composite
def any_situation(draw: st.DrawFn) -> Situation:
    workers, size = draw(counts), draw(counts)
    ghosts = {5.0: 0.1, 60.0: 0.5, 300.0: 0.9}
    window = {
        "requests_per_second": draw(st.floats(1.0, 3000.0)),
        "cpu_limit": draw(st.none() | st.just(2.0)),
        "throttled_ratio": draw(st.none() | st.floats(0, 1)),
        "duration": draw(st.builds(seconds, seconds_of, st.just(48_000))),
        "loop_lag": draw(st.builds(seconds, st.floats(0.0, 0.1), st.just(10_000))),
        "turned_away": draw(st.sampled_from((0, 10_000))),
        "errors": draw(st.sampled_from((0, 4000))),
        "caches": {"responses": CacheObservation(40_000, 0.1, ghosts, 4000)},
        "pools": postgres_seen(
            limit=size,
            hold=seconds(draw(seconds_of), 48_000),
            wait=seconds(draw(st.floats(0.0, 0.1)), 48_000),
            arrivals_per_worker=draw(st.floats(0.0, 2000.0)),
        ),
    }
    bounds = workers_spec(1, 16), pool_spec(1, 40, draw(st.sampled_from((None, MAIN)))), PAGES
    start = {RESPONSES: 5.0, ADMISSION_MIN: 2.0, ADMISSION_MAX: 8.0}
    base = served(
        workers,
        size,
        window=window,
        fleet=draw(fleets()),
        memory=draw(memories()),
        policy=policy(*bounds, objective=COST, admission=draw(st.none() | st.just(Bounds(2, 512)))),
        budgets={MAIN: Budget(draw(st.sampled_from((40, 4000))), 4)},
    )
    return replace(base, values={**base.values, **start}, trial=draw(st.none() | st.just(base.observation)))


DEMANDED = {Reason.PINNED_BY_SPEC, Reason.CLAMPED, Reason.BUDGET_EXHAUSTED, Reason.ROLLED_BACK, Reason.EXTERNAL_CHANGE}


@pytest.mark.invariant
@given(any_situation())
def test_nothing_grows_while_the_objective_is_met_with_room(given_situation: Situation) -> None:
    decision, _ = decide(given_situation)

    if decision.reason in DEMANDED or not nothing_grows_in(given_situation):
        return
    after = apply_changes(given_situation.values, decision.changes)
    assert growing(given_situation.values, after) == (), decision.message


def nothing_grows_in(given_situation: Situation) -> bool:
    """By the very rule, on what is remembered once the window was seen."""
    model = model_of(given_situation)
    return nothing_grows(remembering(given_situation, model), model, given_situation.memory.noise)


def test_the_last_guard_stops_whatever_has_come_so_far() -> None:
    calm = replace(situation(), enough=True)
    grown = Decision((Change(WORKERS, 4, 5),), Reason.LOOP_LAG_HIGH, "more", tuned=True)
    less = replace(grown, changes=(Change(WORKERS, 4, 3),))

    stopped = left_alone(calm, grown)

    assert (stopped.changes, stopped.reason) == ((), Reason.WITHIN_TOLERANCE)
    assert "met with room, so workers, postgres need not grow" in stopped.message
    assert left_alone(calm, less) is less
    assert left_alone(calm, replace(grown, tuned=False)).changes
    assert left_alone(situation(), grown) is grown


def test_one_window_is_no_reason_to_grow_where_windows_differ_by_chance() -> None:
    """p95 of 47 ms once, in a service whose windows differ by 15 %; and twice in a row."""
    late = {"duration": answers(0.047, 0.0145), "loop_lag": seconds(0.001, 10_000)}
    noise = Noise(0.0225, 10, measured(p95_seconds=0.029, requests_per_second=800.0), generation=17)
    first = served(4, 8, policy=policy(objective=COST), window=late, memory=Memory(noise=noise))

    decision, memory = decide(first)
    again, _ = decide(replace(first, memory=memory, now=NOW + timedelta(minutes=1)))

    assert not growing(first.values, apply_changes(first.values, decision.changes)), decision.message
    assert growing(first.values, apply_changes(first.values, again.changes)), again.message


def test_requests_that_fail_though_in_time_are_no_reason_to_give_back() -> None:
    failing = served(4, 8, policy=policy(objective=COST), window={"errors": 4000}, memory=Memory(wanted=LESS))
    decision, _ = decide(failing)

    assert decision.changes == ()


def test_what_would_no_longer_do_is_not_given_back_to() -> None:
    """Less was wanted in the last windows, but this one would not bear the most of it."""
    busier = served(
        4, 8, policy=policy(workers_spec(4, 8), pool_spec(), objective=COST),
        memory=Memory(wanted=(values(4, 1),) * 4, rejected=(Rejected(values(4, 7), NOW + timedelta(minutes=9)),)),
    )  # fmt: skip
    decision, _ = decide(busier)

    assert decision.changes == ()


@pytest.mark.parametrize(
    ("grown", "fewer", "little"),
    [
        pytest.param(("workers",), values(3, 9), True, id="as many workers with more connections each"),
        pytest.param(("workers",), values(4, 2), False, id="a worker more"),
        pytest.param(("workers", "postgres"), values(4, 8), True, id="a worker more, without the connections"),
        pytest.param(("workers", "postgres"), values(4, 9), False, id="more of both"),
        pytest.param((), values(3, 9), False, id="rolled back: more of anything may do"),
        pytest.param((), values(3, 7), True, id="rolled back: less of everything does not"),
    ],
)
def test_what_was_outgrown_needs_more_of_what_grew(grown: tuple[str, ...], fewer: Values, little: bool) -> None:
    outgrown = Rejected(values(3, 8), NOW + timedelta(minutes=9), grown=grown)
    assert too_little(situation(values=values(6, 20), memory=Memory(rejected=(outgrown,))), fewer) is little


def test_without_a_window_the_usual_headroom_is_planned_for() -> None:
    assert planned_rise(situation(observation=None)) == HEADROOM


def test_cost_counts_memory_where_pods_say_how_many_workers_it_holds() -> None:
    roomy, tight = (served(2, 4, window={"most_workers": most}) for most in (None, 4))
    assert cost(tight, tight.values) > cost(roomy, roomy.values)
    pools_only = served(2, 4, policy=policy(pool_spec()), window={"most_workers": 4})
    assert cost(pools_only, pools_only.values) == 4 / 40
    assert cost(served(2, 4, policy=policy(TunableSpec(WORKERS, pinned=2))), values(2, 4)) == 0.0
    assert cost(situation(observation=None), values(4, 8)) == (4 / 8 + 4 / 8 * 8 / 40) / 2


@pytest.mark.parametrize(
    ("share", "met"),
    [
        pytest.param(0.98, False, id="loops that never rest have no room"),
        pytest.param(0.5, True, id="half busy, and far below the objective"),
    ],
)
def test_without_a_model_loops_say_whether_there_is_room(share: float, met: bool) -> None:
    window = observation(loop_lag=seconds(0.0, 0), cpu_seconds=share * 60 * 4 * 4)

    assert nothing_grows_in(situation(policy=policy(objective=COST), observation=window)) is met
