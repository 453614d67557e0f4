"""After a change hardly a request completes: that is seen of few requests, and told from a lull."""

from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.decide import decide
from paceline_operator.core.measure.histogram import Histogram
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.verdict.collapsed import collapsed
from paceline_operator.core.verdict.verify import verify
from situations import COST, NOW, POSTGRES, measured, observation, pending, policy, postgres_seen, seconds, situation

BEFORE = measured(p95_seconds=0.060)
"""333 requests a second in four pods, the objective of 45 ms missed."""


def starved(requests: int = 30, window: float = 120.0, wait: float = 9.0, **changes: Any) -> Observation:
    pools = postgres_seen(
        limit=16, hold=seconds(20.0, requests), wait=seconds(wait, requests), arrivals_per_worker=0.02
    )
    seen = {
        "requests": requests, "window_seconds": window, "requests_per_second": requests / window,
        "duration": seconds(10.0, requests), "pools": pools,
    }  # fmt: skip
    return observation(**{**seen, **changes})


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        pytest.param(starved(), True, id="30 in two minutes, of 40,000"),
        pytest.param(starved(19_000), True, id="less than half"),
        pytest.param(starved(20_000), False, id="half, or by chance a little more"),
        pytest.param(starved(0, pools=postgres_seen(wait=Histogram(), timeouts=5)), True, id="none, and five timeouts"),
        pytest.param(starved(0, pools=postgres_seen(wait=Histogram(), timeouts=4)), False, id="none, and four"),
        pytest.param(starved(0, window=0.03, pools=postgres_seen(timeouts=9)), False, id="too short to expect any"),
        pytest.param(starved(wait=0.040), False, id="nobody waits for long"),
        pytest.param(starved(9), False, id="nine have waited"),
        pytest.param(starved(10), True, id="ten have"),
        pytest.param(starved(duration=seconds(0.02, 30)), False, id="all of them in time: a lull"),
        pytest.param(starved(pools={}), False, id="no pool: a lull with slow requests"),
        pytest.param(starved(6_000, pods=1), False, id="on one pod of four, a little more than half of its share"),
    ],
)
def test_less_than_half_completes_and_waits(seen: Observation, found: bool) -> None:
    told = collapsed(BEFORE, seen, COST)
    assert bool(told) is found
    assert told.endswith("requests a second, and they wait for postgres") is found


@pytest.mark.invariant
@pytest.mark.parametrize(
    ("changes", "more", "window", "back"),
    [
        pytest.param((Change(POSTGRES, 10, 8),), {}, {}, True, id="a pool that gave back"),
        pytest.param((Change(POSTGRES, 4, 8),), {}, {}, True, id="one that grew"),
        pytest.param((Change(WORKERS, 2, 4),), {}, {}, True, id="workers that grew, all of which want connections"),
        pytest.param((Change(POSTGRES, 10, 8),), {}, {"loop_lag": seconds(0.2)}, True, id="given back, and loops lag"),
        pytest.param(
            (Change(POSTGRES, 10, 8),), {"reason": Reason.DATABASE_SATURATED}, {}, False, id="a database that was slow"
        ),
    ],
)
def test_whatever_was_changed(changes: Any, more: dict[str, Any], window: dict[str, Any], back: bool) -> None:
    waiting = pending(changes=changes, baseline=BEFORE, deadline=NOW + timedelta(hours=1), **more)
    given = situation(policy=policy(objective=COST), observation=starved(**window), memory=Memory(pending=waiting))
    decision, _ = verify(given)
    assert (decision is not None) is back


def test_where_loops_lag_more_of_the_same_may_be_needed() -> None:
    waiting = pending(changes=(Change(WORKERS, 2, 4),), baseline=BEFORE)
    seen = starved(loop_lag=seconds(0.2))
    assert verify(situation(policy=policy(objective=COST), observation=seen, memory=Memory(pending=waiting)))[0] is None


@pytest.mark.invariant
@pytest.mark.parametrize("minutes", [1, 2, 6, 40])
@pytest.mark.parametrize("several", [False, True])
def test_what_grew_goes_back_as_soon_as_that_is_seen(minutes: int, several: bool) -> None:
    seen = starved(15 * minutes, 60.0 * minutes, busiest=1.0 if several else 0.0625)
    grown = pending(
        baseline=BEFORE,
        changes=(Change(POSTGRES, 8, 16),),
        reason=Reason.POOL_WAIT_HIGH,
        since=NOW - timedelta(minutes=minutes),
        deadline=NOW + timedelta(hours=1),
    )
    given = situation(
        policy=policy(objective=COST),
        values={WORKERS: 4, POSTGRES: 16},
        observation=seen,
        memory=Memory(pending=grown),
    )
    decision, memory = decide(given)

    assert (decision.reason, decision.changes) == (Reason.ROLLED_BACK, (Change(POSTGRES, 16, 8),))
    assert memory.pending is None
