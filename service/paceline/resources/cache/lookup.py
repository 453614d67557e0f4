"""What a lookup in a cache is called in a trace."""

from collections.abc import Mapping
from enum import Enum
from time import perf_counter
from typing import Final

from paceline.resources.cache.entry import Verdict
from paceline.telemetry.time_spent import OUTCOME, Kind, TimeSpent


class Source(Enum):
    """Where a value that somebody waited for came from."""

    REDIS = "hit"
    FETCH = "miss"
    STALE = "stale"


_HIT: Final = {OUTCOME: Source.REDIS.value}
_STALE_HIT: Final = {OUTCOME: Source.STALE.value}


def note_found(spent: TimeSpent, name: str, verdict: Verdict) -> None:
    """A lookup that took no time worth a clock: of a value in memory."""
    now = perf_counter()
    attributes: Mapping[str, str | int] = _STALE_HIT if verdict is Verdict.STALE else _HIT
    spent.note(Kind.LOOKUP, name, now, now, attributes=attributes)
