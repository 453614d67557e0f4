"""What makes of a proposal less, or nothing, as a table: a situation in words, what is done, and the one reason."""

from datetime import timedelta

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Behavior, Bounds, TunableSpec
from paceline_operator.core.model.tunables import ADMISSION_MAX, ADMISSION_MIN, ADMISSION_P95, WORKERS
from paceline_operator.core.situation.memory import Memory, Oversized, Rejected
from paceline_operator.core.situation.situation import Budget, Situation
from situations import (
    LAGGING,
    MAIN,
    NOW,
    WAITING,
    decided,
    fleet,
    observation,
    policy,
    pool_spec,
    postgres,
    seconds,
    situation,
    values,
    workers,
    workers_spec,
)


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(
            situation(policy=policy(pool_spec()), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.PINNED_BY_SPEC,
            id="workers that the policy does not name are never touched",
        ),
        pytest.param(
            situation(
                policy=policy(TunableSpec(WORKERS, pinned=4), pool_spec()),
                observation=observation(loop_lag=LAGGING, pools=WAITING),
            ),
            (postgres(8, 11),),
            Reason.POOL_WAIT_HIGH,
            id="with pinned workers the pool is tuned all the same",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.0056))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="loop lag just over its threshold is within the tolerance",
        ),
        pytest.param(
            situation(fleet=fleet(unregistered=("10.0.0.7:5432",)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.UNREGISTERED_POOL,
            id="a pool nobody registered holds the workers",
        ),
        pytest.param(
            situation(
                fleet=fleet(clamped={WORKERS: "asked 5, granted 4, by memory"}),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.CLAMPED,
            id="pods that clamp workers are not asked for more",
        ),
        pytest.param(
            situation(policy=policy(workers_spec(1, 5)), observation=observation(loop_lag=seconds(0.050))),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="a doubling is capped by the policy's maximum",
        ),
        pytest.param(
            situation(policy=policy(workers_spec(1, 4)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.AT_MAXIMUM,
            id="no worker is added above the maximum",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                observation=observation(pools=WAITING),
            ),
            (),
            Reason.BUDGET_NOT_FOUND,
            id="a pool whose budget is missing does not grow",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 6)),
            Reason.LOOP_LAG_HIGH,
            id="workers grow within the connections that a missing budget leaves",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(8, budget=MAIN)),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.BUDGET_NOT_FOUND,
            id="workers do not grow where the pool may not shrink for them",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 9, 4)},
                observation=observation(pools=WAITING),
            ),
            (postgres(8, 9),),
            Reason.POOL_WAIT_HIGH,
            id="a pool grows no further than its budget",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(pools=WAITING),
            ),
            (),
            Reason.BUDGET_EXHAUSTED,
            id="a budget without room holds a pool",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(5, budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(loop_lag=seconds(0.050)),
            ),
            (workers(4, 6), postgres(8, 5)),
            Reason.LOOP_LAG_HIGH,
            id="workers grow as far as their pools' least fits the budget",
        ),
        pytest.param(
            situation(
                policy=policy(workers_spec(), pool_spec(8, budget=MAIN)),
                budgets={MAIN: Budget(4 * 4 * 8, 4)},
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.BUDGET_EXHAUSTED,
            id="workers do not grow where the budget has no room for their pools",
        ),
        pytest.param(
            situation(
                fleet=fleet(total=5, reporting=5, applied=5),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="while a pod is silent a worker is added all the same",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
                observation=observation(turned_away=21),
            ),
            (),
            Reason.REQUESTS_TURNED_AWAY,
            id="nothing is given back while requests are turned away",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
                observation=observation(turned_away=20),
            ),
            (postgres(20, 9),),
            Reason.POOL_OVERSIZED,
            id="one in a thousand is a burst",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, turned_away=9000)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="where loops lag and requests are turned away a worker is added",
        ),
        pytest.param(
            situation(
                memory=Memory(rejected=(Rejected(values(5, 7), NOW + timedelta(minutes=1)),)),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.COOLING_DOWN,
            id="values that were rolled back are not tried again at once",
        ),
        pytest.param(
            situation(
                memory=Memory(rejected=(Rejected(values(5, 7), NOW - timedelta(minutes=1)),)),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="but they are tried again later",
        ),
        pytest.param(
            situation(
                memory=Memory(rejected=(Rejected(values(5, 7), NOW + timedelta(minutes=9), template="another"),)),
                observation=observation(loop_lag=LAGGING),
            ),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="or by pods of another template",
        ),
        pytest.param(
            situation(
                observation=observation(loop_lag=LAGGING),
                policy=policy(admission=Bounds(4, 64)),
                values={**values(), ADMISSION_MAX: 5.0, ADMISSION_MIN: 4.0, ADMISSION_P95: 0.045},
                memory=Memory(rejected=(Rejected(values(5, 7), NOW + timedelta(minutes=9)),)),
            ),
            (),
            Reason.COOLING_DOWN,
            id="what was rejected under other bounds of admission stays rejected",
        ),
        pytest.param(
            situation(memory=Memory(changes=(NOW - timedelta(seconds=30),)), observation=observation(loop_lag=LAGGING)),
            (),
            Reason.COOLING_DOWN,
            id="within the cooldown nothing is tuned",
        ),
        pytest.param(
            situation(
                policy=policy(behavior=Behavior(min_samples=1000, max_changes_per_hour=2)),
                memory=Memory(changes=(NOW - timedelta(minutes=50), NOW - timedelta(minutes=5))),
                observation=observation(loop_lag=LAGGING),
            ),
            (),
            Reason.COOLING_DOWN,
            id="the changes of an hour are counted",
        ),
    ],
)
def test_a_proposal_within_its_limits(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    assert decided(given_situation) == (changes, reason)


def test_what_the_signals_alone_ask_for_is_kept_beside_what_is_allowed() -> None:
    decision, _ = decide(situation(policy=policy(workers_spec(1, 5)), observation=observation(loop_lag=seconds(0.050))))

    assert decision.uncapped == (workers(4, 8),)
    assert decision.limited_by is Reason.AT_MAXIMUM
