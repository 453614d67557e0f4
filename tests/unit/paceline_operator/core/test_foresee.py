"""What is recommended where nothing may be changed: the policy's own values, and what would follow them."""

from dataclasses import replace
from typing import Any

import pytest
from paceline_operator.core.decide import decide, foresee
from paceline_operator.core.measure.histogram import merge
from paceline_operator.core.model.decision import Reason, apply_changes
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.situation import Held, Situation
from situations import (
    POSTGRES,
    fleet,
    observation,
    policy,
    pool_spec,
    postgres_seen,
    seconds,
    situation,
    values,
    workers_spec,
)

PINNED = policy(workers_spec(), TunableSpec(POSTGRES, pinned=5))


def busy(**changes: Any) -> Situation:
    """Two workers whose loops are busy more than half of the time, and three connections where five are pinned."""
    duration = merge((seconds(0.060, 4_800), seconds(0.008, 43_200)))
    window = observation(
        requests=48_000,
        requests_per_second=800.0,
        duration=duration,
        loop_lag=seconds(0.003, 48_000),
        cpu_seconds=272.0,
        cpu_limit=4.0,
        pools=postgres_seen(limit=3, hold=seconds(0.006, 48_000), arrivals_per_worker=100.0),
    )
    base = situation(policy=PINNED, values=values(workers=2, postgres=3), observation=window)
    return replace(base, **changes)


def test_what_follows_a_pinned_value_is_recommended_with_it() -> None:
    given = busy()

    decision, _ = foresee(given)

    after = apply_changes(given.values, decision.changes)
    assert after[POSTGRES] == 5
    assert after[WORKERS] > 2
    assert decision.reason is Reason.PINNED_BY_SPEC
    assert "postgres 3→5: the policy gives the value; then, as the model predicts, workers 2→" in decision.message


def test_where_values_are_applied_they_come_first() -> None:
    decision, _ = decide(busy())

    assert [change.tunable for change in decision.changes] == [POSTGRES]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(busy(observation=None), id="nothing measured"),
        pytest.param(busy(fleet=fleet(rolling_out=True)), id="a rollout"),
        pytest.param(busy(policy=replace(PINNED, objective=None)), id="no objective"),
        pytest.param(busy(held=Held("generation 5", values(workers=2, postgres=3))), id="held by a person"),
        pytest.param(busy(policy=policy(workers_spec(1, 2), TunableSpec(POSTGRES, pinned=5))), id="no better one"),
        pytest.param(busy(fleet=fleet(unregistered=("db:1",))), id="a limit"),
        pytest.param(busy(policy=policy(workers_spec(), pool_spec())), id="nothing pinned"),
        pytest.param(busy(fleet=fleet(too_old=("old",))), id="pods that would not understand"),
    ],
)
def test_else_it_is_what_is_decided(given: Situation) -> None:
    assert foresee(given) == decide(given)
