"""How long a request waits in each queue that it passes: mean and variance, known from theory.

| queue | load | mean wait | source |
| --- | --- | --- | --- |
| event loop | ρ = λs/W | S·ρ/(1−ρ), S fitted | M/M/1 |
| quota, W > C | u = λs/C | ⅔·θ·(s/C)·u/(1−u), θ = 2Φ(−(1−u)/σ), σ² = u·s·(1+cv²)/(C·100 ms) | reflected random walk |
| pool of P | a = λq·hold/W | C(P,a)·hold/(P−a) | M/M/c |
"""

from dataclasses import dataclass
from math import erf, sqrt
from typing import Final

from paceline_operator.core.queueing.queueing import erlang_c

PERIOD_SECONDS: Final = 0.1
"""Of the CFS quota."""
CPU_CV2: Final = 0.25
"""Squared coefficient of variation of a request's CPU time, which nobody reports."""
STALL_SHARE: Final = 2 / 3
FULL: Final = 0.97
"""A queue at this load is taken as saturated: nothing can be said of its wait."""


@dataclass(frozen=True, slots=True)
class Wait:
    """A random wait: mean and variance, in seconds."""

    mean: float
    variance: float

    def times(self, passes: float) -> "Wait":
        """So many of it, one after the other and independent: means and variances add up."""
        return Wait(self.mean * passes, self.variance * passes)


def loop_wait(busy: float, slice_seconds: float) -> Wait | None:
    """M/M/1: a share `busy` waits, exponentially. Worked example: half busy, slices of 2 ms → 2 ms on average."""
    if busy >= FULL:
        return None
    mean = slice_seconds * busy / (1 - busy)
    return Wait(mean, mean * mean * (2 - busy) / busy if busy else 0.0)


def throttled_share(arrivals: float, cpu_seconds: float, cpu_limit: float) -> float:
    """Share of the periods in which the quota runs out, with more workers than cores.

    CPU demand over periods is a random walk that the quota pulls back; by the reflection principle it is above the
    quota `2Φ(−(1−u)/σ)` of the time. Worked example: 400 requests a second of 4.2 ms on 2 cores: u = 0.84, σ = 0.15
    → 28 %.
    """
    used = arrivals * cpu_seconds / cpu_limit
    sigma = sqrt(used * cpu_seconds * (1 + CPU_CV2) / (cpu_limit * PERIOD_SECONDS))
    if used >= 1 or not sigma:
        return 1.0 if used >= 1 else 0.0
    return min(1.0, 1 - erf((1 - used) / sigma / sqrt(2)))


def quota_wait(arrivals: float, cpu_seconds: float, cpu_limit: float, stalls: float = 1.0) -> Wait | None:
    """What the quota adds to each pass of a loop; None where it is spent for good."""
    used = arrivals * cpu_seconds / cpu_limit
    if used >= FULL:
        return None
    share = throttled_share(arrivals, cpu_seconds, cpu_limit)
    mean = stalls * STALL_SHARE * share * cpu_seconds / cpu_limit * used / (1 - used)
    return Wait(mean, mean * mean * (2 - share) / share if share else 0.0)


def pool_wait(size: float, load: float, hold_seconds: float) -> Wait | None:
    """M/M/c: a share C(P, a) waits, exponentially."""
    if load >= FULL * size:
        return None
    waiting = erlang_c(int(size), load)
    mean = waiting * hold_seconds / (size - load)
    return Wait(mean, mean * mean * (2 - waiting) / waiting if waiting else 0.0)
