"""The bounds of the pods' admission law: when they are written, sized, and taken away again."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline_operator.core.choice.admission import size, with_admission
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Change, Decision, Reason
from paceline_operator.core.model.policy import Bounds, Objective
from paceline_operator.core.model.tunables import ADMISSION_MAX, ADMISSION_MIN, ADMISSION_P95
from paceline_operator.core.situation.memory import Memory
from paceline_operator.core.situation.situation import Held, Situation
from situations import NOW, OBJECTIVE, fleet, observation, pending, policy, seconds, situation, values

ALLOWED = Bounds(16, 512)
NAMED = policy(admission=ALLOWED)
ON = {ADMISSION_MIN: 16.0, ADMISSION_MAX: 512.0, ADMISSION_P95: 0.045}
SWITCH_ON = (Change(ADMISSION_MAX, 0.0, 512), Change(ADMISSION_MIN, 0.0, 16), Change(ADMISSION_P95, 0.0, 0.045))
SWITCH_OFF = tuple(Change(tunable, ON[tunable], 0.0) for tunable in (ADMISSION_MAX, ADMISSION_MIN, ADMISSION_P95))


def named(**changes: Any) -> Situation:
    return situation(**{"policy": NAMED, "values": {**values(), **ON}, **changes})


@pytest.mark.parametrize(
    ("given_situation", "changes", "reason"),
    [
        pytest.param(situation(), (), Reason.WITHIN_TOLERANCE, id="not named, off"),
        pytest.param(
            named(values=values(), observation=None), SWITCH_ON, Reason.ADMISSION_SIZED, id="named before any window"
        ),
        pytest.param(
            named(values=values(), observation=observation(loop_lag=seconds(0.010))),
            SWITCH_ON,
            Reason.LOOP_LAG_HIGH,
            id="named, along with another change",
        ),
        pytest.param(
            named(values=values(), observation=None, policy=replace(NAMED, objective=None)),
            SWITCH_ON[:2],
            Reason.ADMISSION_SIZED,
            id="without an objective",
        ),
        pytest.param(
            named(policy=policy(), observation=None), SWITCH_OFF, Reason.ADMISSION_SIZED, id="not named any more"
        ),
        pytest.param(
            named(policy=policy(admission=Bounds(4, 100)), observation=None),
            (Change(ADMISSION_MAX, 512, 100),),
            Reason.ADMISSION_SIZED,
            id="other bounds",
        ),
        pytest.param(
            named(policy=replace(NAMED, objective=Objective(timedelta(seconds=1))), observation=None),
            (Change(ADMISSION_P95, 0.045, 1.0),),
            Reason.ADMISSION_SIZED,
            id="another objective",
        ),
        pytest.param(
            named(),  # 333 requests a second, 4 pods of 4 workers, 20 ms: 20.8 and 0.42 in flight
            (Change(ADMISSION_MAX, 512, 16),),
            Reason.ADMISSION_SIZED,
            id="sized by what was measured, within the bounds",
        ),
        pytest.param(
            named(policy=policy(admission=Bounds(2, 512)), observation=observation(requests_per_second=16_000.0)),
            (Change(ADMISSION_MAX, 512, 88), Change(ADMISSION_MIN, 16, 20)),
            Reason.ADMISSION_SIZED,
            id="1000 a second and worker: 1.5 · 45 + 3 · √45, and 1000 · 20 ms",
        ),
        pytest.param(
            named(values={**values(), **ON, ADMISSION_MAX: 20.0}), (), Reason.WITHIN_TOLERANCE, id="hardly other"
        ),
        pytest.param(
            named(observation=observation(requests=900)),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="not sized on few requests",
        ),
        pytest.param(
            named(memory=Memory(pending=pending(deadline=NOW + timedelta(minutes=5))), observation=None),
            (),
            Reason.INSUFFICIENT_TELEMETRY,
            id="not sized while a change is being judged",
        ),
        pytest.param(
            named(fleet=fleet(reporting=0), values=values()), (), Reason.NOT_REPORTING, id="nobody says what is on"
        ),
        pytest.param(
            named(fleet=fleet(too_old=("api-1",)), values=values()), (), Reason.RUNTIME_TOO_OLD, id="too old a pod"
        ),
        pytest.param(
            named(values=values(), held=Held("baseline", values())), (), Reason.ROLLED_BACK, id="held by a person"
        ),
    ],
)
def test_what_is_decided(given_situation: Situation, changes: tuple[Change, ...], reason: Reason) -> None:
    decision, memory = decide(given_situation)
    ours = tuple(change for change in decision.changes if change.tunable.kind is ADMISSION_MAX.kind)
    assert (ours, decision.reason) == (changes, reason)
    assert (memory.pending is None) or not changes


def test_the_message_has_the_numbers() -> None:
    decision, _ = decide(named())
    assert decision.message.startswith("admission.max 512→16: 20.8 requests a second and worker, 20ms on average; p95 ")


def test_what_has_been_sized_is_not_sized_again() -> None:
    first, _ = decide(named())
    after = {**values(), **ON, **{change.tunable: change.new for change in first.changes}}
    assert decide(named(values=after))[0].changes == ()


@given(
    rate=st.floats(0, 1e6),
    duration=st.floats(1e-4, 10),
    workers=st.integers(1, 64),
    least=st.integers(1, 100),
    more=st.integers(0, 1000),
)
def test_a_size_is_in_order_and_within_its_bounds(
    rate: float, duration: float, workers: int, least: int, more: int
) -> None:
    allowed = Bounds(least, least + more)
    seen = observation(requests_per_second=rate, duration=seconds(duration))
    found = size(seen, OBJECTIVE, workers, allowed)
    assert found is not None
    assert allowed.minimum <= found[0] <= found[1] <= allowed.maximum


@given(one=st.floats(0, 1e5), other=st.floats(0, 1e5))
def test_more_responses_in_time_never_mean_less_room(one: float, other: float) -> None:
    rates = sorted((one, other))
    sizes = [size(observation(requests_per_second=rate), OBJECTIVE, 4, Bounds(1, 10_000)) for rate in rates]
    assert sizes[0] is not None
    assert sizes[1] is not None
    assert sizes[0] <= sizes[1]


def test_nothing_answered_sizes_nothing() -> None:
    silent = observation(duration=seconds(0.0, count=0))
    assert size(silent, OBJECTIVE, 4, ALLOWED) is None
    content = Decision((), Reason.WITHIN_TOLERANCE, "")
    assert with_admission(named(observation=silent), content, Memory()) == (content, Memory())
