"""The law of cache TTLs: straight to the shortest TTL that hits about as often as the longest one allowed.

What other TTLs would give is measured on ghosts (a sample of the keys, remembered without their values), so nothing has
to be tried. The bound is the policy's: no TTL is longer than its maximum, whatever is gained.
"""

from collections.abc import Iterator
from typing import Final

from paceline_operator.core.measure.observation import CacheObservation, Observation
from paceline_operator.core.model.decision import Change
from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import TunableSpec
from paceline_operator.core.model.tunables import Kind
from paceline_operator.core.situation.situation import Situation

AS_GOOD: Final = 0.01
"""A hit ratio lower by no more than this is as good: beyond lies only staleness."""
WORTH_IT: Final = 0.02
"""Share of all requests that must be spared the database."""
LEAST_LOOKUPS: Final = 200


def ttl_changes(situation: Situation, observation: Observation) -> tuple[tuple[Change, str], ...]:
    """The TTLs that are worth moving, each with the numbers that say so."""
    return tuple(_changes(situation, observation))


def _changes(situation: Situation, observation: Observation) -> Iterator[tuple[Change, str]]:
    for tunable, spec in situation.policy.tunables.items():
        seen, now = observation.caches.get(tunable.name), situation.values.get(tunable)
        if tunable.kind is not Kind.CACHE or seen is None or now is None or spec.bounds is None:
            continue
        best = _best(spec, seen)
        if best is None or best <= now or seen.hit_ratio is None:
            continue
        gained = seen.ghosts[best] - seen.hit_ratio
        if gained * seen.lookups > WORTH_IT * observation.requests:
            evidence = f"{tunable} hits {seen.hit_ratio:.0%}, {seen.ghosts[best]:.0%} with {format_duration(best)}"
            yield Change(tunable, now, best), evidence


def _best(spec: TunableSpec, seen: CacheObservation) -> float | None:
    if spec.bounds is None or seen.ghost_lookups < LEAST_LOOKUPS:
        return None
    allowed = {ttl: ratio for ttl, ratio in seen.ghosts.items() if spec.allowed(ttl) == ttl}
    if not allowed:
        return None
    enough = max(allowed.values()) - AS_GOOD
    return min(ttl for ttl, ratio in allowed.items() if ratio >= enough)
