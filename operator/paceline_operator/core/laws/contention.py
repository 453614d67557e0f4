"""How many connections a database bears before it drowns in them, and what is remembered of the time it did.

By the Universal Scalability Law a query takes `R(N) = R(1) · (1 + σ(N-1) + κN(N-1))` with N of them active. Beyond
some N fewer queries complete a second, not more: one burst then checks out all connections, and they stay checked out,
since fewer requests complete than come. It may go well for many windows; the one in which it does not is remembered.
Of N and R(N), and of R when all was well, κ' = (R(N)/R - 1)/N²; with a load of `a` Erlang when well, it keeps up with
up to

    (1 + √(1 - 4a²κ')) / (2aκ')  connections, and most with 1/√κ' of them.

Loads are taken a burst higher. Source: N. Gunther, Guerrilla Capacity Planning, ch. 4. Worked example: 150 connections
held 90 ms each, 13 ms when well: κ' = 2.6e-4. 2000 a second are 26 Erlang: up to 114 connections bear that, 62 most.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from math import sqrt
from typing import Final

from paceline_operator.core.laws.diagnose import LAG_IN_HOLD, exhausted
from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Change
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.model.tunables import WORKERS, Kind, Tunable, Values
from paceline_operator.core.queueing.fit import LEAST_CHECKOUTS
from paceline_operator.core.queueing.queueing import BURSTINESS
from paceline_operator.core.situation.experience import DISPROVED, load_of, no_fewer, same_load
from paceline_operator.core.situation.memory import Drowned
from paceline_operator.core.situation.situation import Situation

PAST_ITS_PEAK: Final = 2.0
"""With κ' as the only reason, queries take twice as long as when all is well where most complete a second. Until
then more connections are better."""
CHECKED_OUT: Final = 0.5
"""Share of the connections that were checked out on average: then all of them were for a good part of the window."""
NO_MORE: Final = 1.05
"""As many, as far as two windows can tell."""
STEP_BACK: Final = 0.8
"""Never again more than this share of the connections that the database drowned in, whatever the law says."""
BARRED_FOR: Final = 192
"""Windows until more may be tried again; doubled each time the database has drowned once more."""
MOST_DOUBLINGS: Final = 5
COMPLETED: Final = 0.95
"""A database that completes this share of what is asked for, or more, is slow, but has not drowned."""
REMEMBERED: Final = 12
"""Windows: while queues are full, responses say little of what is asked for, so the most of the last few is taken."""


def drowned(situation: Situation, observation: Observation, objective: Objective) -> Mapping[str, Drowned]:
    """By pool: what is to be remembered of a window in which all its connections were checked out, and less was
    completed than was asked for.

    Whether the database drowned in them or there were too few is told by how long queries take when all is well; where
    that is not known yet, time will tell.
    """
    if (observation.response_seconds or 0.0) <= objective.limit.total_seconds() or not _falls_behind(
        situation, observation
    ):
        return {}
    found = {}
    for tunable, seen in _pools(situation, observation):
        query = _query_seconds(observation, seen, situation.values[tunable])
        if query and not no_fewer(situation, tunable.name) and _starved(seen, situation.values[tunable], objective):
            found[tunable.name] = _noted(situation, tunable, seen, query)
    return {name: new for name, new in found.items() if _unknown(situation, name) or _slow(situation, name, new)}


def drowning(situation: Situation, observation: Observation, objective: Objective) -> str:
    """The pool whose database drowns in its connections, as far as that can be told; empty where none does."""
    found = drowned(situation, observation, objective)
    return next((name for name in found if most_connections(situation, name) is not None), "")


def remembered(situation: Situation, found: Mapping[str, Drowned]) -> Mapping[str, Drowned]:
    """What is known of drowned databases, with a window's findings: the fewest connections count."""
    merged = dict(situation.memory.drowned)
    for name, new in found.items():
        old = merged.get(name)
        stays = old is not None and new.connections > old.connections and most_connections(situation, name) is not None
        merged[name] = replace(old, until=new.until) if old is not None and stays else new
    return merged


def disproved(situation: Situation, pools: Iterable[Tunable], until: datetime) -> Mapping[str, Drowned]:
    """What is known, once fewer connections made things worse: something else slows these databases down."""
    found = {
        tunable.name: Drowned(connections(situation, situation.values, tunable), 0.0, 0.0, until, DISPROVED)
        for tunable in pools
    }
    return {**situation.memory.drowned, **found}


def no_relief(observation: Observation, changes: Iterable[Change], before: float, after: float) -> str:
    """Fewer connections, all of them checked out, and fewer responses a second: they do not slow the database down."""
    for change in changes:
        seen = observation.pools.get(change.tunable.name)
        if seen is not None and after < before / NO_MORE and exhausted(seen, change.new):
            return f"{before:.0f} → {after:.0f} responses a second: fewer connections do not help {change.tunable}"
    return ""


def most_connections(situation: Situation, name: str) -> float | None:
    """How many connections of the whole fleet a pool's database bears under this load; None where nothing is known."""
    known, well = situation.memory.drowned.get(name), situation.memory.fastest.get(name)
    if known is None or well is None or _over(situation, known) or not _slow(situation, name, known):
        return None
    coherency = (known.query_seconds / well - 1) / known.connections**2
    wanted = asked_for(situation, name)
    borne = bears(wanted * well * BURSTINESS, coherency)
    as_much = wanted >= known.checkouts or same_load(wanted, known.checkouts)
    return min(borne, STEP_BACK * known.connections) if as_much else borne


def bears(load: float, coherency: float) -> float:
    """The most connections with which all that comes is served, or with which most is where that is less.

    Worked example: 26 Erlang at κ' = 2.6e-4 → 114; 33 Erlang → 62.
    """
    left = 1 - 4 * load * load * coherency
    if left <= 0 or not load:
        return 1 / sqrt(coherency)
    return (1 + sqrt(left)) / (2 * load * coherency)


def connections(situation: Situation, values: Values, tunable: Tunable) -> float:
    """Of the whole fleet."""
    return max(1, situation.fleet.total) * values.get(WORKERS, 1.0) * values[tunable]


def endangers(situation: Situation, values: Values) -> bool:
    """Whether a setting has more connections than a database is known to bear."""
    for tunable in values:
        limit = most_connections(situation, tunable.name) if tunable.kind is Kind.POOL else None
        if limit is not None and connections(situation, values, tunable) > limit:
            return True
    return False


def _pools(situation: Situation, observation: Observation) -> Iterator[tuple[Tunable, PoolObservation]]:
    for tunable, size in situation.values.items():
        seen = observation.pools.get(tunable.name)
        if tunable.kind is Kind.POOL and size > 0 and seen is not None and seen.arrivals_per_worker > 0:
            yield tunable, seen


def _starved(seen: PoolObservation, size: float, objective: Objective) -> bool:
    waited = seen.wait.quantile(0.99) or 0.0
    in_use = seen.arrivals_per_worker * (seen.hold.mean or 0.0) if seen.hold.count >= LEAST_CHECKOUTS else 0.0
    return in_use >= CHECKED_OUT * size and waited > objective.limit.total_seconds()


def _query_seconds(observation: Observation, seen: PoolObservation, size: float) -> float | None:
    """Of a query while the pool is exhausted, by Little's law; None where lag is a great part of what is held."""
    lag, hold = observation.loop_lag.mean, seen.hold.mean or 0.0
    if lag is None or lag > LAG_IN_HOLD * hold:
        return None
    own = observation.cpu_seconds / max(1, observation.requests)
    return max(0.0, size / seen.arrivals_per_worker - lag - own)


def _noted(situation: Situation, tunable: Tunable, seen: PoolObservation, query: float) -> Drowned:
    before = situation.memory.drowned.get(tunable.name)
    times = 1 if before is None else max(1, before.times + _over(situation, before))
    barred = situation.policy.behavior.interval * (BARRED_FOR << min(times - 1, MOST_DOUBLINGS))
    many = connections(situation, situation.values, tunable)
    return Drowned(many, query, asked_for(situation, tunable.name), situation.now + barred, times)


def asked_for(situation: Situation, name: str) -> float:
    """Checkouts a second of the whole fleet; as many as when the database drowned where nobody reports any."""
    observation = situation.observation
    if observation is None or name not in observation.pools:
        return situation.memory.drowned[name].checkouts
    workers = max(1, situation.fleet.total) * situation.values.get(WORKERS, 1.0)
    more = _load(situation, observation) / max(load_of(observation), 1e-9)
    return workers * observation.pools[name].arrivals_per_worker * more


def _falls_behind(situation: Situation, observation: Observation) -> bool:
    """Whether less is completed than is asked for; taken for granted where nothing is known of better times."""
    return load_of(observation) < COMPLETED * _load(situation, observation) or not _lately(situation)


def _load(situation: Situation, observation: Observation) -> float:
    """Requests a second and pod that are asked for."""
    return max((load_of(observation), *_lately(situation)))


def _lately(situation: Situation) -> tuple[float, ...]:
    oldest = situation.now - REMEMBERED * situation.policy.behavior.interval
    return tuple(known.load for known in situation.memory.known if known.time >= oldest)


def _unknown(situation: Situation, name: str) -> bool:
    return name not in situation.memory.fastest


def _slow(situation: Situation, name: str, known: Drowned) -> bool:
    well = situation.memory.fastest.get(name)
    return well is not None and known.query_seconds > PAST_ITS_PEAK * well


def _over(situation: Situation, known: Drowned) -> bool:
    return situation.now >= known.until
