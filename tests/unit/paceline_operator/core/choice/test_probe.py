"""Trying a neighbour of the setting in force: when, and which."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from paceline_operator.core.choice.probe import probe
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Objective, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Tunable
from paceline_operator.core.situation.memory import Memory, Probing, Rejected
from paceline_operator.core.situation.situation import Budget, Situation
from situations import (
    COST,
    MAIN,
    NOW,
    OBJECTIVE,
    POSTGRES,
    answers,
    fitted,
    fleet,
    policy,
    pool_spec,
    seconds,
    served,
    values,
    workers_spec,
)


def due(**changes: Any) -> Situation:
    """It is time for a probe, and all is well."""
    calm = {"loop_lag": seconds(0.00005, 10_000)}
    return served(4, 6, **{"window": calm, "memory": Memory(probing=Probing(0, NOW)), **changes})


@pytest.mark.parametrize(
    ("given_situation", "objective"),
    [
        pytest.param(replace(due(), observation=None), OBJECTIVE, id="nothing was measured"),
        pytest.param(due(), COST, id="cost does not try anything without room"),
        pytest.param(due(fleet=fleet(total=5, reporting=4, applied=5)), OBJECTIVE, id="a pod is silent"),
        pytest.param(
            due(policy=policy(workers_spec(4, 4), pool_spec(6, budget=MAIN)), budgets={MAIN: Budget(4 * 4 * 6, 4)}),
            OBJECTIVE,
            id="a neighbour would break a budget",
        ),
        pytest.param(
            due(policy=policy(workers_spec(4, 4), pool_spec(6, 6))), OBJECTIVE, id="bounds leave no neighbour"
        ),
    ],
)
def test_nothing_is_probed_where(given_situation: Situation, objective: Objective) -> None:
    assert probe(due(), fitted(due()), OBJECTIVE) is not None, "else there is one"
    assert probe(given_situation, fitted(due()), objective) is None


def test_a_neighbour_whose_loops_would_be_full_is_not_tried() -> None:
    busy = due(window={"requests_per_second": 4 * 700.0, "cpu_limit": None, "loop_lag": seconds(0.00005, 10_000)})
    few = replace(busy, values=values(3, 6), policy=policy(workers_spec(1, 3), pool_spec(1, 6)))
    assert fitted(few).p95(2, {"postgres": 6.0}) is None
    assert probe(few, fitted(few), OBJECTIVE) is None


@pytest.mark.parametrize(
    ("given_situation", "probed"),
    [
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"loop_lag": seconds(0.00005, 10_000)}),
            True, id="when it is time",
        ),
        pytest.param(served(4, 6, memory=Memory(probing=Probing(0, NOW + timedelta(hours=1)))), False, id="not before"),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"loop_lag": seconds(0.00005, 10_000)},
                   fleet=fleet(total=5, reporting=4, applied=5)),
            False, id="not while a pod is silent",
        ),
        pytest.param(served(4, 6), False, id="the first look only sets the time"),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), window={"duration": answers(0.046, 0.0184)}),
            False,
            id="not while the objective is missed",
        ),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), policy=policy(objective=COST)),
            False,
            id="not with cost before it is known for how long less would do",
        ),
        pytest.param(
            served(4, 6, memory=Memory(probing=Probing(0, NOW)), policy=policy(TunableSpec(WORKERS, pinned=4))),
            False,
            id="nothing that may move",
        ),
    ],
)  # fmt: skip
def test_probes(given_situation: Situation, probed: bool) -> None:
    decision, memory = decide(given_situation)
    assert (decision.reason is Reason.PROBE) is probed, decision.message
    assert memory.probing.after is not None


def saving(**changes: Any) -> Situation:
    """The objective is met with room, and five windows have wanted what is in force."""
    memory = Memory(probing=Probing(0, NOW), wanted=(values(4, 6),) * 5)
    return due(**{"policy": policy(objective=COST), "memory": memory, "enough": True, **changes})


@pytest.mark.parametrize(
    ("given_situation", "tried"),
    [
        pytest.param(saving(), {WORKERS: 3}, id="the cheapest neighbour"),
        pytest.param(saving(enough=False), None, id="there is no room"),
        pytest.param(
            saving(memory=Memory(probing=Probing(0, NOW), wanted=(values(4, 6),) * 4)), None, id="too early to tell"
        ),
        pytest.param(
            saving(policy=policy(TunableSpec(WORKERS, pinned=4), pool_spec(), objective=COST)),
            {POSTGRES: 5},
            id="a connection less",
        ),
        pytest.param(
            saving(
                memory=Memory(
                    probing=Probing(0, NOW),
                    wanted=(values(4, 6),) * 5,
                    rejected=(Rejected(values(3, 8), NOW + timedelta(minutes=9)),),
                )
            ),
            None,
            id="not what was too little lately",
        ),
    ],
)
def test_with_cost_what_may_do_is_tried(given_situation: Situation, tried: dict[Tunable, float] | None) -> None:
    found = probe(given_situation, fitted(given_situation), COST)

    assert (None if found is None else {change.tunable: change.new for change in found.changes}) == tried
