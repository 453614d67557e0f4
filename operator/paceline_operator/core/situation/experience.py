"""What the loop has seen: p95 by values and load, the noise of the measurement, what a worker and a query cost.

A measurement outranks a prediction. What was seen under another load says nothing, and what is old little.
"""

from collections.abc import Mapping
from dataclasses import replace
from math import ceil, log, sqrt
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.tunables import WORKERS, Values, pool
from paceline_operator.core.situation.memory import Known, Measured, Memory, Noise
from paceline_operator.core.situation.situation import Situation

SAME_LOAD: Final = log(1.15)
"""Loads whose ratio is below 1.15 are one regime."""
KEPT_WINDOWS: Final = 60
MOST_KNOWN: Final = 50
NEWEST: Final = 0.25
"""Least weight of the newest window in what is known; the first few count alike."""
NOISE_WEIGHT: Final = 0.2
LEAST_NOISE_WINDOWS: Final = 3
SURPRISE: Final = log(1.3)
"""A p95 this far from what was known makes all that is known worthless."""
CREEP: Final = 1.02
"""What the fastest query may grow by in a window: after about twenty, one half slower is the new normal."""
SLOW_QUERY: Final = 1.5
DISPROVED: Final = 0
"""In place of how often a database drowned: fewer connections were tried and made things worse."""
MOST_BUSY: Final = 0.6
"""Loops are not made busier than this when workers go so that the others' pools are large enough."""
MOST_OVERHEAD: Final = 0.1
DEFAULT_OVERHEAD: Final = 0.01


def load_of(observation: Observation) -> float:
    """Requests a second and pod."""
    return observation.requests_per_second / max(1, observation.pods)


def recall(situation: Situation, values: Values, load: float) -> Known | None:
    """What these values gave under such a load, not too long ago."""
    oldest = situation.now - KEPT_WINDOWS * situation.policy.behavior.interval
    tuned = _tuned(situation, values)
    ours = [k for k in situation.memory.known if k.template == situation.fleet.template]
    found = [k for k in ours if k.values == tuned and _same(k.load, load) and k.time >= oldest]
    return found[-1] if found else None


def recall_nearest(situation: Situation, values: Values, load: float, most: float) -> Known | None:
    """What these values gave under the highest load that is above this one's regime and not above `most`."""
    oldest = situation.now - KEPT_WINDOWS * situation.policy.behavior.interval
    tuned = _tuned(situation, values)
    found = [
        known
        for known in situation.memory.known
        if known.template == situation.fleet.template and known.values == tuned and known.time >= oldest
        if load < known.load <= most and not _same(known.load, load)
    ]
    return max(found, key=lambda known: known.load, default=None)


def learned(
    situation: Situation, observation: Observation, query_seconds: Mapping[str, float], *, queue_full: bool = False
) -> Memory:
    """The memory with a window added; of a pool that is not in `query_seconds` nothing new is known.

    Where a queue was full, CPU time went into requests that were not complete in this window, or had come before it:
    what a request costs is not known then. While a database is slow p95 moves otherwise than when all is well, and
    that it became slow, or well again, is no noise.
    """
    memory = situation.memory
    slow = any(database_is_slow(memory, name, seconds) for name, seconds in query_seconds.items())
    return replace(
        memory,
        known=_known(situation, observation),
        noise=replace(memory.noise, last=None) if slow else _noise(situation, observation),
        cpu=memory.cpu if queue_full else _cpu(memory.cpu, situation.values, observation),
        fastest={**memory.fastest, **_fastest(memory, query_seconds)},
    )


def seen_on_trial(situation: Situation, values: Values, measured: Measured) -> tuple[Known, ...]:
    """What is known, with what single pods gave under values that are not in force."""
    newest = Known(
        _tuned(situation, values), measured.load, measured.p95_seconds, 1, situation.now, situation.fleet.template
    )
    return (*situation.memory.known, newest)[-MOST_KNOWN:]


def _fastest(memory: Memory, query_seconds: Mapping[str, float]) -> Mapping[str, float]:
    return {name: min(seconds, memory.fastest.get(name, seconds) * CREEP) for name, seconds in query_seconds.items()}


def noise_of(memory: Memory) -> float:
    """The standard deviation of log p95 between windows in which nothing changed; 0 until there were a few."""
    return deviation(memory.noise)


def deviation(noise: Noise) -> float:
    """The same, of noise alone."""
    return sqrt(noise.variance) if noise.windows >= LEAST_NOISE_WINDOWS else 0.0


def overhead_of(memory: Memory) -> float:
    """What one more worker adds to a request's CPU time, as a share, from the two counts furthest apart.

    Worked example: 4.0 ms at 2 workers and 4.24 ms at 5 → 2 % each.
    """
    counts = sorted(memory.cpu)
    if len(counts) < 2:
        return DEFAULT_OVERHEAD
    few, many = counts[0], counts[-1]
    return min(max(0.0, (memory.cpu[many] / memory.cpu[few] - 1) / (many - few)), MOST_OVERHEAD)


def database_is_slow(memory: Memory, name: str, query_seconds: float) -> bool:
    """Whether queries take much longer than they did when all was well."""
    return query_seconds > SLOW_QUERY * memory.fastest.get(name, query_seconds)


def is_disproved(situation: Situation, name: str) -> bool:
    """Whether fewer connections were tried of late, and it was not they that slowed the database down."""
    known = situation.memory.drowned.get(name)
    return known is not None and known.times == DISPROVED and situation.now < known.until


def more_would_slow(situation: Situation, name: str, query_seconds: float) -> bool:
    """Whether a database is slow, and more connections would make it slower, as far as anybody knows: once fewer made
    things worse, or where there are no fewer to try, more are worth a try.

    Worked example: 2 connections of each of 4 pods, queries of 3 ms that take 24 ms of late, 800 requests a second.
    One connection serves half as many: it is not they, and 8 serve all.
    """
    return database_is_slow(situation.memory, name, query_seconds) and not no_fewer(situation, name)


def no_fewer(situation: Situation, name: str) -> bool:
    """Whether fewer connections are no remedy: they were tried of late, or there are none."""
    return is_disproved(situation, name) or _smallest(situation, name)


def _smallest(situation: Situation, name: str) -> bool:
    """Whether a pool has the fewest connections that it may have, in the fewest workers."""
    size, spec = situation.values.get(pool(name)), situation.policy.tunables.get(pool(name))
    if size is None or spec is None or spec.bounds is None or size > spec.bounds.minimum:
        return False
    return situation.values.get(WORKERS, 1.0) <= fewest_workers(situation)


def fewest_workers(situation: Situation) -> float:
    """Workers that have the CPU time, when some go so that the others' pools are large enough."""
    now, spec = situation.values.get(WORKERS, 1.0), situation.policy.tunables.get(WORKERS)
    busy = situation.observation.busy(1) if situation.observation else None
    if spec is None or spec.bounds is None or busy is None:
        return now
    return min(now, max(spec.bounds.minimum, ceil(busy / MOST_BUSY)))


def is_rejected(situation: Situation, values: Values) -> bool:
    """Whether these values were rolled back under such a load, by pods of this template."""
    load, tuned = load_of(situation.observation) if situation.observation else 0.0, _tuned(situation, values)
    return any(
        _tuned(situation, rejected.values) == tuned
        and situation.now < rejected.until
        and rejected.template == situation.fleet.template
        and _same(rejected.load, load)
        for rejected in situation.memory.rejected
    )


def same_load(one: float, other: float) -> bool:
    """Whether two request rates are near enough to compare what was measured under them."""
    return _same(one, other)


def _same(one: float, other: float) -> bool:
    return one > 0 and other > 0 and abs(log(one / other)) <= SAME_LOAD


def _tuned(situation: Situation, values: Values) -> Values:
    return {tunable: value for tunable, value in values.items() if tunable in situation.policy.tunables}


def _known(situation: Situation, observation: Observation) -> tuple[Known, ...]:
    p95, load, values = observation.response_seconds, load_of(observation), _tuned(situation, situation.values)
    if p95 is None:
        return situation.memory.known
    before = recall(situation, values, load)
    newest = Known(values, load, p95, 1, situation.now, situation.fleet.template)
    if before is not None and _surprising(situation.memory, p95 / before.p95_seconds):
        # The same values under the same load: something else has changed, for all that these pods gave.
        return (*(known for known in situation.memory.known if known.template != newest.template), newest)
    if before is not None:
        weight = max(NEWEST, 1 / (before.windows + 1))
        mixed = weight * p95 + (1 - weight) * before.p95_seconds
        newest = Known(values, load, mixed, before.windows + 1, situation.now, situation.fleet.template)
    others = tuple(known for known in situation.memory.known if known is not before)
    return (*others, newest)[-MOST_KNOWN:]


def _surprising(memory: Memory, ratio: float) -> bool:
    return abs(log(max(ratio, 1e-9))) > max(SURPRISE, 3 * noise_of(memory))


def _noise(situation: Situation, observation: Observation) -> Noise:
    noise, measured = situation.memory.noise, Measured.of(observation)
    generation = situation.fleet.generation
    last = noise.last
    if measured is None or last is None or noise.generation != generation:
        return replace(noise, last=measured, generation=generation)
    if not _same(last.requests_per_second, measured.requests_per_second) or not last.p95_seconds:
        return replace(noise, last=measured)
    # Two windows differ by twice the variance of one; a load that drifts within the regime counts as noise, too.
    seen = log(measured.p95_seconds / last.p95_seconds) ** 2
    weight = max(NOISE_WEIGHT, 1 / (noise.windows + 1))
    return Noise((1 - weight) * noise.variance + weight * seen, noise.windows + 1, measured, generation)


def _cpu(known: Mapping[int, float], values: Values, observation: Observation) -> Mapping[int, float]:
    workers = int(values.get(WORKERS, 0))
    if not workers or not observation.requests or not observation.loop_cpu_seconds:
        return known
    seen = observation.loop_cpu_seconds / observation.requests
    before = known.get(workers, seen)
    return {**known, workers: NEWEST * seen + (1 - NEWEST) * before}
