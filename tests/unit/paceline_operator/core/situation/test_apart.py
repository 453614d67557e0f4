"""Process pools, which documents and policies name like connection pools, are told apart by what pods report."""

from dataclasses import replace

from paceline_operator.core.measure.pods import PodState, PoolCounters, kinds
from paceline_operator.core.model.decision import Change
from paceline_operator.core.model.policy import Bounds, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, pool, processes
from paceline_operator.core.situation.apart import told_apart
from paceline_operator.core.situation.memory import Known, Memory, Rejected
from paceline_operator.core.situation.situation import Held, Member, Situation
from situations import NOW, POSTGRES, fleet, pending, policy, pool_spec, seconds, situation, workers_spec

RENDER, READ = processes("render"), pool("render")
COUNTERS = PoolCounters(2, 4, 0, seconds(0.0), seconds(0.1))
SIZES = {WORKERS: 4.0, POSTGRES: 8.0, READ: 2.0}


def as_read() -> Situation:
    memory = Memory(
        pending=pending(changes=(Change(READ, 2, 3),)),
        last_known_good=SIZES,
        rejected=(Rejected(SIZES, NOW),),
        known=(Known(SIZES, 100.0, 0.02, 3, NOW),),
        wanted=(SIZES,),
        unknown={"newer": [{"render": 1}]},
    )
    return situation(
        policy=policy(workers_spec(), pool_spec(), TunableSpec(READ, bounds=Bounds(1, 4))),
        values=SIZES,
        fleet=fleet(clamped={READ: "asked 9"}, members=(Member("a", values=SIZES),)),
        memory=memory,
        held=Held("generation 5", SIZES),
    )


def test_every_tunable_of_a_situation_becomes_what_it_is() -> None:
    told = told_apart(as_read(), kinds([PodState("a", 1.0, 3, queues={RENDER: COUNTERS})]))

    assert "Kind.POOL: 'pool'>, name='render'" not in repr(told)
    sizes = {WORKERS: 4.0, POSTGRES: 8.0, RENDER: 2.0}
    assert told.values == told.memory.last_known_good == sizes
    assert told.policy.tunables[RENDER] == TunableSpec(RENDER, bounds=Bounds(1, 4))
    assert told.memory.pending == pending(changes=(Change(RENDER, 2, 3),))
    assert [each.values for each in (*told.memory.rejected, *told.memory.known)] == [sizes, sizes]
    assert told.fleet.clamped == {RENDER: "asked 9"}
    assert told.held == Held("generation 5", sizes)
    assert told.observation is as_read().observation or told.observation == as_read().observation


def test_without_such_pools_nothing_is_looked_at() -> None:
    given = as_read()

    assert told_apart(given, kinds([PodState("a", 1.0, 3)])) is given
    assert told_apart(replace(given, held=None), {pool("other"): processes("other")}) == replace(given, held=None)
