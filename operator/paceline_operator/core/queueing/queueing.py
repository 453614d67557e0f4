"""Erlang-C: how many connections keep waiting short. `a` is the offered load: arrivals a second × seconds held.

Source: Erlang's delay formula (M/M/c), in its usual recurrence over the number of servers.

| a | c | P(wait) | note |
| --- | --- | --- | --- |
| 5.85 | 9 | 17.4 % | |
| 5.85 | 13 | 0.8 % | the least c with less than 1 % |
| 40 Erlang, 5 ms held | 48 | – | the least c with a p99 wait of at most 2 ms, in one pool |
| 10 Erlang, 5 ms held | 16 | – | the same in each of four pools: 64 in all |
"""

from math import log
from typing import Final

BURSTINESS: Final = 1.25
"""p99 over mean of one-second arrival counts: headroom on an offered load."""
MOST_SERVERS: Final = 10_000
"""Where the search for a number of servers ends: far above any pool."""


def erlang_c(servers: int, load: float) -> float:
    """Probability that an arrival waits; 1 when the load is not below the servers."""
    if load >= servers:
        return 1.0
    return _delay(servers, load, _blocking(servers, load))


def wait_quantile(servers: int, load: float, hold_seconds: float, q: float) -> float:
    """The q-quantile of the wait in seconds; infinite when the load is not below the servers.

    `hold/(c-a) · ln(P(wait)/(1-q))`, and 0 where fewer than 1-q wait at all.
    """
    if load >= servers:
        return float("inf")
    return _quantile(servers, load, hold_seconds, q, erlang_c(servers, load))


def servers_needed(load: float, hold_seconds: float, longest_wait_seconds: float, q: float = 0.99) -> int:
    """The fewest servers whose q-quantile of the wait is at most `longest_wait_seconds`; at least 1.

    Worked example: 40 Erlang of 5 ms holds, p99 wait ≤ 2 ms → 48.
    """
    blocking = 1.0
    for servers in range(1, MOST_SERVERS):
        blocking = load * blocking / (servers + load * blocking)
        if servers <= load:
            continue
        waiting = _delay(servers, load, blocking)
        if _quantile(servers, load, hold_seconds, q, waiting) <= longest_wait_seconds:
            return servers
    return MOST_SERVERS


def _blocking(servers: int, load: float) -> float:
    """Erlang-B by its recurrence, which never overflows."""
    blocking = 1.0
    for count in range(1, servers + 1):
        blocking = load * blocking / (count + load * blocking)
    return blocking


def _delay(servers: int, load: float, blocking: float) -> float:
    return blocking / (1 - (load / servers) * (1 - blocking))


def _quantile(servers: int, load: float, hold_seconds: float, q: float, waiting: float) -> float:
    if waiting <= 1 - q:
        return 0.0
    return hold_seconds / (servers - load) * log(waiting / (1 - q))
