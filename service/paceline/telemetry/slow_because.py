"""Names the first cause of a slow request, and what it spent where. Pure."""

from collections.abc import Mapping
from typing import Final

from paceline.telemetry.time_spent import OUTCOME, Kind, TimeSpent

SLOW_BECAUSE: Final = "paceline.slow_because"
LEAST_SHARE: Final = 0.2
"""A cause explains at least this share of the request; below it none is named."""

_SAID: Final = {
    Kind.WAIT: "pool {}: waited {}",
    Kind.HOLD: "pool {}: held a connection for {}",
    Kind.CALL: "upstream {}: took {}",
    Kind.RUN: "pool {}: ran for {}",
    Kind.FETCH: "cache {}: fetched for {}",
    Kind.LOOKUP: "cache {}: took {}",
}
_INNER: Final = (Kind.WAIT, Kind.CALL, Kind.HOLD, Kind.RUN, Kind.FETCH, Kind.LOOKUP)
"""From the inside out: a lookup lasts as long as its fetch, and that as long as the query that it makes."""


def spent_attributes(spent: TimeSpent, loop_lag: float) -> dict[str, str | float]:
    """Seconds by what they were spent on, as `paceline.wait.postgres` and `paceline.loop_lag`, and the outcome of the
    last lookup in each cache, as `paceline.cache.products`: hit, stale or miss."""
    attributes: dict[str, str | float] = {
        f"paceline.{kind}.{name}": round(seconds, 6) for (kind, name), seconds in spent.totals().items() if seconds
    }
    if loop_lag:
        attributes["paceline.loop_lag"] = round(loop_lag, 6)
    for each in spent.steps:
        if each.kind is Kind.LOOKUP:
            attributes[f"paceline.cache.{each.name}"] = str(each.attributes[OUTCOME])
    return attributes


def named_cause(spent: TimeSpent, loop_lag: float, seconds: float) -> dict[str, str]:
    """The attribute that names the first cause, where there is one."""
    cause = slow_because(spent.totals(), loop_lag, seconds)
    return {} if cause is None else {SLOW_BECAUSE: cause}


def slow_because(totals: Mapping[tuple[Kind, str], float], loop_lag: float, seconds: float) -> str | None:
    """The cause that explains most of `seconds`; where one step is inside another for most of its time, the inner one.

    A handler that blocks its event loop is seen by the loop's lag at its end. None: what Paceline sees explains less
    than `LEAST_SHARE`. Worked example: of 0.7 s the wait for postgres took 0.65 and the fetch around it 0.66; the
    wait is within a tenth of the longest and further inside: `pool postgres: waited 650 ms`.
    """
    found = [
        (spent, _INNER.index(kind), _SAID[kind].format(name, _duration(spent)))
        for (kind, name), spent in totals.items()
    ]
    found.append((loop_lag, 0, f"event loop: blocked for {_duration(loop_lag)}"))
    longest = max(spent for spent, _, _ in found)
    if longest < LEAST_SHARE * seconds:
        return None
    near = [each for each in found if each[0] >= 0.9 * longest]
    return min(near, key=lambda each: (each[1], -each[0]))[2]


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"
