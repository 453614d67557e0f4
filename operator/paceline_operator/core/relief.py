"""Fewer connections for a database that its own clients slow down.

Queries that run side by side wait for each other: by the Universal Scalability Law a query takes
`R(N) = R(1) · (1 + σ(N-1) + κN(N-1))` with N of them active, and beyond some N fewer are answered a second, not more.
From outside it looks like a pool that is too small: connections are all lent, requests wait for one. Two signs tell.
The database was faster once, and the connections it needed then are fewer than it has now. Or the pool may grow no
further, or has grown in vain: then half of it is tried, and kept unless that made things worse.

Source: N. Gunther, Guerrilla Capacity Planning, ch. 4. Worked example, σ = 0.003 and κ = 0.0001: 390 active queries
take 17 times as long as one, 80 take 1.9 times.
"""

from collections.abc import Iterator
from math import ceil

from paceline_operator.core.diagnose import (
    BURSTINESS,
    LAG_IN_HOLD,
    SLACK,
    WAIT_SHARE,
    Finding,
    all_lent,
    longest_wait_seconds,
    slow_database,
)
from paceline_operator.core.durations import format_duration
from paceline_operator.core.model import Change, Kind, Objective, Reason, Tunable
from paceline_operator.core.observation import Observation, PoolObservation
from paceline_operator.core.predict import LEAST_CHECKOUTS
from paceline_operator.core.queueing import servers_needed
from paceline_operator.core.recommend import Proposal
from paceline_operator.core.situation import Situation


def relief(situation: Situation, observation: Observation, objective: Objective) -> Proposal | None:
    """The connections that were enough when the database was well, if it is slow now and requests wait for it."""
    if (observation.p95 or 0.0) <= objective.p95.total_seconds():
        return None
    for tunable, size, seen, _ in _waited_for(situation, observation, objective):
        slow = slow_database(situation, observation, tunable.name)
        if not slow:
            continue
        fastest = situation.memory.fastest[tunable.name]
        load = seen.arrivals_per_worker * fastest * BURSTINESS
        enough = float(ceil(SLACK * servers_needed(load, fastest, longest_wait_seconds(objective))))
        if enough < size:
            evidence = f"{slow}; {enough:g} connections were enough then, and more slow it down"
            return _fewer(situation, tunable, size, enough, evidence)
    return None


def half(situation: Situation, observation: Observation, objective: Objective) -> Proposal | None:
    """Half of a pool that is always lent and cannot grow: a database with less to do at once may answer more."""
    if (observation.p95 or 0.0) <= objective.p95.total_seconds():
        return None
    for tunable, size, seen, hold in _waited_for(situation, observation, objective):
        if size > 1 and all_lent(seen, size):
            evidence = f"all connections of {tunable} are lent, {format_duration(hold)} each, and more would not help"
            return _fewer(situation, tunable, size, float(ceil(size / 2)), f"{evidence}; fewer are tried")
    return None


def _waited_for(
    situation: Situation, observation: Observation, objective: Objective
) -> Iterator[tuple[Tunable, float, PoolObservation, float]]:
    """Pools whose connections requests wait for, with their size and the mean time they are held."""
    lag, high = observation.loop_lag.mean, WAIT_SHARE * objective.p95.total_seconds()
    for tunable, spec in situation.policy.tunables.items():
        size, seen = situation.values.get(tunable), observation.pools.get(tunable.name)
        if tunable.kind is not Kind.POOL or spec.bounds is None or size is None or seen is None:
            continue
        hold = seen.hold.mean
        if hold is None or seen.hold.count < LEAST_CHECKOUTS or (seen.wait.quantile(0.99) or 0.0) <= high:
            continue
        if lag is not None and lag <= LAG_IN_HOLD * hold:
            yield tunable, size, seen, hold


def _fewer(situation: Situation, tunable: Tunable, size: float, wanted: float, evidence: str) -> Proposal:
    finding = Finding(Reason.DATABASE_SATURATED, tunable, 1 + 2 * situation.policy.behavior.tolerance, evidence, wanted)
    return Proposal(finding, (Change(tunable, size, wanted),))
