"""Signals and what they ask for, as a table: a window in words, what is done, and the one reason."""

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory, Oversized
from paceline_operator.core.situation.situation import Situation
from situations import (
    LAGGING,
    WAITING,
    decided,
    observation,
    postgres,
    postgres_seen,
    seconds,
    situation,
    values,
    workers,
)


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="loop lag adds a worker and takes the pool along",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.050))),
            (workers(4, 8), postgres(8, 4)),
            Reason.LOOP_LAG_HIGH,
            id="loop lag above five times its threshold doubles the workers",
        ),
        pytest.param(
            situation(
                values=values(2, 5),
                observation=observation(loop_lag=seconds(0.0332), pools=postgres_seen(arrivals_per_worker=180.0)),
            ),
            (workers(2, 4), postgres(5, 4)),
            Reason.LOOP_LAG_HIGH,
            id="the worked example: workers 2→4, postgres 5→4",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=seconds(0.010, count=19))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a handful of lag samples proves nothing",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=0.2, cpu_ratio=0.6)),
            (),
            Reason.THROTTLING_HIGH,
            id="throttling vetoes another worker",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=0.0, cpu_ratio=0.9)),
            (),
            Reason.SCALE_OUT_RECOMMENDED,
            id="a full CPU needs more pods, not more workers",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, throttled_ratio=None, cpu_ratio=None)),
            (workers(4, 5), postgres(8, 7)),
            Reason.LOOP_LAG_HIGH,
            id="without a CPU limit, as on a laptop, there is no CPU veto",
        ),
        pytest.param(
            situation(observation=observation(pools=WAITING)),
            (postgres(8, 11),),
            Reason.POOL_WAIT_HIGH,
            id="pool waits grow the pool to what Erlang-C says",
        ),
        pytest.param(
            situation(values=values(4, 2), observation=observation(pools=WAITING)),
            (postgres(2, 8),),
            Reason.POOL_WAIT_HIGH,
            id="an exhausted pool grows at most to four times its size",
        ),
        pytest.param(
            situation(
                values=values(4, 1),
                observation=observation(
                    pools=postgres_seen(wait=seconds(0.02), hold=seconds(0.006), arrivals_per_worker=140.0)
                ),
            ),
            (postgres(1, 2),),
            Reason.POOL_WAIT_HIGH,
            id="any other at most to its double",
        ),
        pytest.param(
            situation(observation=observation(pools=postgres_seen(wait=seconds(0.012), arrivals_per_worker=20.0))),
            (postgres(8, 9),),
            Reason.POOL_WAIT_HIGH,
            id="measured waits grow a pool that theory calls large enough",
        ),
        pytest.param(
            situation(observation=observation(pools=postgres_seen(arrivals_per_worker=800.0))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="theory alone, without waits, grows nothing",
        ),
        pytest.param(
            situation(
                observation=observation(pools=postgres_seen(wait=seconds(0.012), arrivals_per_worker=800.0, cap=10))
            ),
            (postgres(8, 10),),
            Reason.POOL_WAIT_HIGH,
            id="a pool grows no further than its constructor allows",
        ),
        pytest.param(
            situation(values=values(4, 6), memory=Memory(oversized={"postgres": Oversized(4, 4)})),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a pool that fits ends its run of oversized windows",
        ),
        pytest.param(
            situation(
                values=values(4, 20),
                memory=Memory(oversized={"postgres": Oversized(4, 7)}),
            ),
            (postgres(20, 9),),
            Reason.POOL_OVERSIZED,
            id="the fifth oversized window shrinks the pool by one",
        ),
        pytest.param(
            situation(values=values(4, 20), memory=Memory(oversized={"postgres": Oversized(3, 7)})),
            (),
            Reason.WITHIN_TOLERANCE,
            id="the fourth does not",
        ),
        pytest.param(
            situation(observation=observation(duration=seconds(0.090))),
            (),
            Reason.OBJECTIVE_INFEASIBLE,
            id="slow without lag or waits is beyond these tunables",
        ),
        pytest.param(
            situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)),
            (workers(4, 8), postgres(8, 4)),
            Reason.LOOP_LAG_HIGH,
            id="loops that never rest double the workers where lag alone would add one",
        ),
        pytest.param(
            situation(
                observation=observation(loop_lag=LAGGING, throttled_ratio=0.2, cpu_ratio=0.6, cpu_limit=2.0),
            ),
            (workers(4, 2),),
            Reason.THROTTLING_HIGH,
            id="throttled workers beyond the cores go, two at a time",
        ),
        pytest.param(
            situation(observation=observation(pools=postgres_seen(wait=seconds(0.012), hold=seconds(0.006, 49)))),
            (),
            Reason.WITHIN_TOLERANCE,
            id="a pool with few checkouts proves nothing",
        ),
        pytest.param(
            situation(values={WORKERS: 4}, observation=observation(loop_lag=LAGGING, pools=WAITING)),
            (workers(4, 5),),
            Reason.LOOP_LAG_HIGH,
            id="a pool whose size nobody reports is left out",
        ),
    ],
)
def test_what_the_signals_ask_for(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    assert decided(given_situation) == (changes, reason)


def test_the_message_of_a_change_has_its_numbers() -> None:
    decision, _ = decide(situation(observation=observation(loop_lag=seconds(0.0332))))

    assert decision.message == ("workers 4→8, postgres 8→4: loop lag p95 33.2ms > 5.4ms; n=20000, generation 17")


def test_loops_that_never_rest_are_named() -> None:
    decision, _ = decide(situation(observation=observation(loop_lag=LAGGING, cpu_seconds=0.99 * 60 * 4 * 4)))

    assert "loop lag p95 10ms > 5.4ms, loops busy 99% of the time" in decision.message
