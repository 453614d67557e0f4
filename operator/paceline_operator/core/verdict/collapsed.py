"""Whether hardly a request completes since a change, and not because few come: they wait for a pool.

Their number n varies by its square root: at this rate there would have been n + 2.58 √n + 6.6 at the most, with 99 %
confidence. Worked example: 333 a second, and after the pool grew from 8 to 16 connections 30 in two minutes, 51 at the
most, where 40,000 were to be expected; p99 of the wait for a connection is 9 s, the objective 45 ms.

A lull has few requests as well, but none of them waits for longer than a response may take.
"""

from math import sqrt
from typing import Final

from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.measure.responses import SURELY
from paceline_operator.core.model.objectives import P99
from paceline_operator.core.model.policy import Objective
from paceline_operator.core.situation.memory import Measured

HALF: Final = 0.5
"""Of the requests that were to be expected."""
LEAST_WAITS: Final = 10
"""Checkouts, below which a wait tells nothing."""
LEAST_TIMEOUTS: Final = 5


def collapsed(baseline: Measured, seen: Observation, objective: Objective) -> str:
    """Says by how much less completes, and what requests wait for; empty where they do not, or where as much does."""
    expected = baseline.load * seen.pods * seen.window_seconds
    most = seen.requests + SURELY * sqrt(seen.requests) + SURELY**2
    limit = objective.limit.total_seconds()
    slow = seen.response_seconds is None or seen.response_seconds > limit
    waited_for = [name for name, pool in sorted(seen.pools.items()) if _waited_for(pool, limit)]
    if not slow or not waited_for or most >= HALF * expected:
        return ""
    rates = f"{baseline.requests_per_second:.3g} → {seen.requests_per_second:.3g} requests a second"
    return f"{rates}, and they wait for {' and '.join(waited_for)}"


def _waited_for(pool: PoolObservation, limit: float) -> bool:
    """Whether a checkout in a hundred waits for longer than a whole response may take, or several in vain."""
    long = pool.wait.count >= LEAST_WAITS and (pool.wait.quantile(P99) or 0.0) > limit
    return long or pool.timeouts >= LEAST_TIMEOUTS
