"""What a decision was chosen from, the best first."""

import re
from dataclasses import replace

from paceline_operator.core.choice.foremost import SHOWN, foremost
from paceline_operator.core.decide import decide
from paceline_operator.core.model.decision import apply_changes
from paceline_operator.core.model.tunables import WORKERS
from situations import COST, answers, policy, seconds, served

SLOW = {"duration": answers(0.060, 0.020), "loop_lag": seconds(0.009, 10_000)}


def test_the_first_is_what_is_decided_where_the_objective_is_missed() -> None:
    slow = served(2, 8, policy=policy(objective=COST), window=SLOW)
    decision, _ = decide(slow)
    found = foremost(slow)

    assert len(found) == SHOWN
    decided = apply_changes(slow.values, decision.changes)
    assert found[0].values[WORKERS] == decided[WORKERS] > slow.values[WORKERS]


def test_with_room_the_cheaper_goes_first_and_without_the_faster() -> None:
    calm, slow = served(4, 8, policy=policy(objective=COST)), served(2, 8, policy=policy(), window=SLOW)

    by_cost, by_speed = foremost(calm), foremost(slow)

    assert all(option.has_room for option in by_cost)
    assert [option.cost for option in by_cost] == sorted(option.cost for option in by_cost)
    without = [option.p95_seconds for option in by_speed if not option.has_room]
    assert without == sorted(without)


def test_it_reads_as_a_sentence() -> None:
    (first, *_) = foremost(served(4, 8, policy=policy(objective=COST)))

    assert re.fullmatch(r"workers 2, postgres \d+: p95 [\d.]+ms predicted, cost 0\.\d\d, with room", str(first))


def test_nothing_can_be_foreseen_without_an_objective_or_a_window() -> None:
    assert foremost(served(4, 8, policy=policy(objective=None))) == ()
    assert foremost(replace(served(4, 8, policy=policy(objective=COST)), observation=None)) == ()
