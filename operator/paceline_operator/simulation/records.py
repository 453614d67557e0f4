"""What the kernel works on: arrays of records, and the numbers of a load and a fleet."""

from math import inf
from typing import Any, Final, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

PERIOD: Final = 0.1
"""Seconds of a CFS period."""
SCALE: Final = 4
LOWEST: Final = -400
BUCKETS: Final = 600
"""Histograms have base 2^(1/16), from 2^(LOWEST/16) = 30 ns to 2^((LOWEST+BUCKETS)/16) = 96 min; the last is zero."""
DURATION: Final = 0
LAG: Final = 1
WAIT: Final = 2
HOLD: Final = 3
SLOW_DURATION: Final = 4
MEASURED: Final = 5
"""So many times are measured."""
ORDINARY: Final = 0
SLOW: Final = 1
"""Routes of requests."""
GROUPS: Final = ("GET /", "GET /slow")
"""As pods report them."""

ARRIVAL: Final = 0
SLICE_DONE: Final = 1
QUERY_DONE: Final = 2
QUOTA_RENEWED: Final = 3
NOBODY: Final = -1

Records = NDArray[Any]

REQUEST: Final = np.dtype(
    [
        ("arrived", np.float64),
        ("queued", np.float64),
        ("granted", np.float64),
        ("slice_seconds", np.float64),
        ("worker", np.int64),
        ("route", np.int64),
        ("queries_left", np.int64),
        ("holds", np.int64),
        ("next", np.int64),
    ]
)
WORKER: Final = np.dtype(
    [
        ("ready_head", np.int64),
        ("ready_tail", np.int64),
        ("pool_head", np.int64),
        ("pool_tail", np.int64),
        ("checked_out", np.int64),
        ("busy", np.int64),
    ]
)
POD: Final = np.dtype(
    [
        ("cpu_mean", np.float64),
        ("delay_mean", np.float64),
        ("running", np.int64),
        ("spent", np.float64),
        ("period", np.int64),
        ("throttled_in", np.int64),
        ("requests", np.int64),
        ("slow_requests", np.int64),
        ("cpu_seconds", np.float64),
        ("throttled", np.int64),
        ("sums", np.float64, (MEASURED,)),
        ("histograms", np.int64, (MEASURED, BUCKETS + 1)),
    ]
)
"""`requests`, of which `slow_requests` are of the slow route, `cpu_seconds`, `throttled`, `sums` and `histograms` are
what was measured after the warm-up; seconds."""


COUNTS: Final = np.dtype(
    [("pending", np.int64), ("active", np.int64), ("free", np.int64), ("completed", np.int64), ("events", np.int64)]
)
"""Events in the heap, queries in the database, unused slots, latencies noted, events played."""


class Load(NamedTuple):
    """What comes in."""

    warm_up: float
    """Seconds at the start that are not measured."""
    miss_ratio: float
    """Share of the requests that query the database."""
    queries: float
    """Database queries of a request that misses; the fraction is drawn."""
    slow_share: float = 0.0
    """Share of the requests that are of the slow route."""
    slow_factor: float = 1.0
    """Times the CPU time of the others that these take."""


class Fleet(NamedTuple):
    """What serves it. Limits are per worker."""

    workers: int
    pool: int
    cpu_limit: float
    cpu_sigma: float
    """Of the lognormal distribution of a request's CPU time."""
    query_seconds: float
    query_sigma: float
    contention: float
    coherency: float
    """σ and κ of the Universal Scalability Law, over the active queries."""
    pods_stood_for: float
    """How many pods of the real fleet one simulated pod stands for at the database."""
    cores: float = inf
    """Of its node that a pod's workers share: with more of them running, each is slower by as much."""


class Played(NamedTuple):
    """What was seen."""

    pods: Records
    latencies: NDArray[np.float64]
    """Of every measured request in seconds; one without a response counts with its age at the end."""
    routes: NDArray[np.float64]
    """Of each of these, `ORDINARY` or `SLOW`."""
    seconds: float
    events: int


@numba.njit(cache=True)
def record(pod: Any, which: int, seconds: float) -> None:
    """Adds a time to one of a pod's histograms. Buckets are (base^i, base^(i+1)], as in OpenTelemetry."""
    pod.sums[which] += seconds
    if seconds <= 0.0:
        pod.histograms[which, BUCKETS] += 1
        return
    index = int(np.ceil(np.log2(seconds) * 2**SCALE)) - 1 - LOWEST
    pod.histograms[which, min(max(index, 0), BUCKETS - 1)] += 1
