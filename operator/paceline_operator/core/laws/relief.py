"""Fewer connections for a database that its own clients slow down.

Queries that run side by side wait for each other: by the Universal Scalability Law a query takes
`R(N) = R(1) · (1 + σ(N-1) + κN(N-1))` with N of them active, and beyond some N fewer queries complete a second, not
more. From outside it looks like a pool that is too small: it is exhausted, and requests wait. Two signs tell the two
apart. The database was faster once, and the connections it needed then are fewer than it has now. Or the pool may not
grow any further, or has grown in vain: then half of it is tried, and kept unless that made things worse. Once it has
drowned, `contention` knows how many connections it bears.

Source: N. Gunther, Guerrilla Capacity Planning, ch. 4. Worked example, σ = 0.003 and κ = 0.0001: 390 active queries
take 17 times as long as one, 80 take 1.9 times.
"""

from collections.abc import Iterator
from math import ceil, floor

from paceline_operator.core.laws.constraints import pool_limit
from paceline_operator.core.laws.contention import asked_for, connections, most_connections
from paceline_operator.core.laws.diagnose import (
    LAG_IN_HOLD,
    SLACK,
    WAIT_SHARE,
    Finding,
    exhausted,
    longest_wait_seconds,
    slow_database,
)
from paceline_operator.core.laws.recommend import Proposal
from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Change, Reason, differences
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable
from paceline_operator.core.queueing.fit import LEAST_CHECKOUTS
from paceline_operator.core.queueing.queueing import BURSTINESS, servers_needed
from paceline_operator.core.situation.experience import fewest_workers, is_disproved
from paceline_operator.core.situation.situation import Situation


def retreat(situation: Situation, observation: Observation, objective: Objective) -> Proposal | None:
    """Back to the connections that a database bears that has drowned in more; in fewer workers where each needs more.

    Only what is more by the policy's tolerance counts, so that the load's ups and downs move nothing.
    """
    for tunable, spec in situation.policy.tunables.items():
        limit = most_connections(situation, tunable.name) if spec.bounds is not None else None
        if limit is None or tunable not in situation.values or tunable.name not in observation.pools:
            continue
        now = connections(situation, situation.values, tunable)
        if now <= limit * (1 + situation.policy.behavior.tolerance):
            continue
        workers, size = _borne(situation, observation, objective, tunable, limit)
        if connections(situation, {WORKERS: workers, tunable: size}, tunable) < now:
            changes = _moved(situation, tunable, workers, size)
            return _saturated(situation, changes, _recalled(situation, tunable, now, limit))
    return None


def _recalled(situation: Situation, tunable: Tunable, now: float, limit: float) -> str:
    known, well = situation.memory.drowned[tunable.name], situation.memory.fastest[tunable.name]
    then, usual = format_duration(known.query_seconds), format_duration(well)
    return (
        f"{now:g} connections to {tunable.name}; it drowned in {known.connections:g}, {then} a query, {usual} when all "
        f"is well, and bears some {floor(limit)} under this load"
    )


def _borne(
    situation: Situation, observation: Observation, objective: Objective, tunable: Tunable, limit: float
) -> tuple[float, float]:
    """Workers and connections of each: the most workers of which each gets what it needs, by Erlang C; else the fewest
    that have the CPU time."""
    fastest, spec = situation.memory.fastest[tunable.name], situation.policy.tunables[tunable]
    pods, workers = max(1, situation.fleet.total), situation.values.get(WORKERS, 1.0)
    load, a_pod = asked_for(situation, tunable.name) / pods * fastest * BURSTINESS, limit / pods
    fewest = fewest_workers(situation)
    needed = servers_needed(load / workers, fastest, longest_wait_seconds(objective))
    while workers > fewest and floor(a_pod / workers) < needed:
        workers -= 1
        needed = servers_needed(load / workers, fastest, longest_wait_seconds(objective))
    return workers, spec.allowed(max(1, min(floor(a_pod / workers), ceil(SLACK * needed))))


def relief(situation: Situation, observation: Observation, objective: Objective) -> Proposal | None:
    """The connections that were enough when the database was well, if it is slow now and requests wait for it; in fewer
    workers where as many as there are would need more."""
    if (observation.response_seconds or 0.0) <= objective.limit.total_seconds():
        return None
    for tunable, size, seen, _ in _waited_for(situation, observation, objective):
        slow = slow_database(situation, observation, tunable.name)
        if not slow:
            continue
        fastest, now = situation.memory.fastest[tunable.name], situation.values.get(WORKERS, 1.0)
        load = now * seen.arrivals_per_worker * fastest * BURSTINESS
        for workers in _no_more(now, fewest_workers(situation)):
            wait = longest_wait_seconds(objective)
            enough = float(ceil(SLACK * servers_needed(load / workers, fastest, wait)))
            moved = _moved(situation, tunable, workers, enough)
            if moved and workers * enough < now * size and enough <= _most(situation, tunable):
                evidence = f"{slow}; {enough:g} connections were enough then, and more slow it down"
                return _saturated(situation, moved, evidence)
    return None


def half(situation: Situation, observation: Observation, objective: Objective) -> Proposal | None:
    """Half of the connections of an exhausted pool that cannot grow, in the fewest workers that have the CPU time: a
    database with less to do at once may complete more, and few large pools wait less than many small ones.

    Worked example: 8 workers of one connection, loops busy 10 % of the time: one worker of 4.
    """
    if (observation.response_seconds or 0.0) <= objective.limit.total_seconds():
        return None
    now, fewest = situation.values.get(WORKERS, 1.0), fewest_workers(situation)
    for tunable, size, seen, hold in _waited_for(situation, observation, objective):
        workers = min(now, max(fewest, ceil(now * size / 2 / _most(situation, tunable))))
        fewer = float(ceil(now * size / 2 / workers))
        moved = _moved(situation, tunable, workers, fewer)  # nothing, where the policy allows no fewer
        if moved and exhausted(seen, size) and workers * fewer < now * size:
            evidence = f"all connections of {tunable} are in use, {format_duration(hold)} each, and more would not help"
            return _saturated(situation, moved, f"{evidence}; fewer are tried")
    return None


def _most(situation: Situation, tunable: Tunable) -> float:
    """Connections that a worker may have."""
    return max(1.0, pool_limit(situation, situation.policy.tunables[tunable], 1.0))


def _no_more(now: float, fewest: float) -> Iterator[float]:
    """Worker counts from the one in force down."""
    return (now - gone for gone in range(int(now - fewest) + 1))


def _moved(situation: Situation, tunable: Tunable, workers: float, size: float) -> tuple[Change, ...]:
    """The pool first: it is the lever, and what comes with it must not be sized by the workers' law."""
    fewer = {WORKERS: workers} if workers != situation.values.get(WORKERS, 1.0) else {}
    after = {**situation.values, **fewer, tunable: situation.policy.tunables[tunable].allowed(size)}
    return tuple(sorted(differences(situation.values, after), key=lambda change: change.tunable != tunable))


def _waited_for(
    situation: Situation, observation: Observation, objective: Objective
) -> Iterator[tuple[Tunable, float, PoolObservation, float]]:
    """Pools whose connections requests wait for, with their size and the mean time they are held."""
    lag, high = observation.loop_lag.mean, WAIT_SHARE * objective.limit.total_seconds()
    for tunable, spec in situation.policy.tunables.items():
        size, seen = situation.values.get(tunable), observation.pools.get(tunable.name)
        if tunable.kind is not Kind.POOL or spec.bounds is None or size is None or seen is None:
            continue
        hold = seen.hold.mean
        if is_disproved(situation, tunable.name):
            continue
        if hold is None or seen.hold.count < LEAST_CHECKOUTS or (seen.wait.quantile(0.99) or 0.0) <= high:
            continue
        if lag is not None and lag <= LAG_IN_HOLD * hold:
            yield tunable, size, seen, hold


def _saturated(situation: Situation, changes: tuple[Change, ...], evidence: str) -> Proposal:
    lever, severity = changes[0], 1 + 2 * situation.policy.behavior.tolerance
    finding = Finding(Reason.DATABASE_SATURATED, lever.tunable, severity, evidence, lever.new)
    return Proposal(finding, changes)
