"""How many requests a worker may work on at a time, from one window of its own responses to the next. Pure.

In this order; the first that applies decides:

| reason | condition | step |
| --- | --- | --- |
| brake | p90 > 1.5 · objective, or more than 5 % of the responses failed | 0.9 · L |
| idle | in flight < L/2: the limit does not bind, so it is neither too high nor too low | 0 |
| growth | p90 ≤ 0.75 · objective | +log₁₀ L |
| veto | the limit binds, and in the last 50 windows more in flight meant no more responses, but waiting | −log₁₀ L |
| queue | more than 6·log₁₀ L of the L wait for each other | −log₁₀ L |
| growth | fewer than 3·log₁₀ L wait | +log₁₀ L |
| steady | otherwise | 0 |

Sources: the estimate of the queue, L·(1 − unloaded/now), from TCP Vegas by way of Netflix's concurrency-limits; the
correlations from failsafe-go's adaptivelimiter; the brake from Netflix's AIMDLimit. A limiter that steers on the ratio
of latencies alone climbs under steady overload, because what it takes for unloaded climbs too: so here loaded windows
never raise it, and an objective counts before any ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil, log10
from statistics import StatisticsError, correlation, fmean, median, pstdev
from typing import Final

from paceline.document.tunables import AdmissionValues

BRAKE_ABOVE: Final = 1.5
"""Times the objective."""
EASY_BELOW: Final = 0.75
"""Times the objective: as long as it is met this well, nobody has to be turned away."""
FAILED_ABOVE: Final = 0.05
"""Share of the responses; a second's fifty cannot tell smaller ones from chance."""
BRAKE: Final = 0.9
REMEMBERED: Final = 50
SMOOTHED: Final = 5
HEADROOM: Final = 1.25
"""What an unloaded worker's latency may vary by; below, nobody is taken to wait (Envoy's minRTT buffer)."""
FORGETTING: Final = 0.1
"""How fast an idle worker's longer latency is taken for its unloaded one."""
UNCORRELATED: Final = 0.5
"""Weaker correlations are chance, and so is one with a quantity that varies by less than `CONSTANT`."""
CONSTANT: Final = 0.01


class Reason(StrEnum):
    """Why the limit is what it is."""

    START = "start"
    BRAKE = "brake"
    VETO = "veto"
    QUEUE = "queue"
    IDLE = "idle"
    GROWTH = "growth"
    STEADY = "steady"


@dataclass(frozen=True, slots=True)
class Window:
    """What a worker saw in a second or more, over fifty responses or more."""

    responses_per_second: float
    p90_seconds: float
    failed_ratio: float
    in_flight: int
    """The most at a time."""


@dataclass(frozen=True, slots=True)
class Limit:
    """The limit and all that the next one depends on. `value` has a fraction, so that small steps add up."""

    value: float
    reason: Reason = Reason.START
    unloaded_seconds: float | None = None
    past: tuple[Window, ...] = ()


def begin(bounds: AdmissionValues) -> Limit:
    """Starts from the most that is allowed: nobody is turned away before something was measured."""
    return Limit(float(bounds.max))


def within(limit: Limit, bounds: AdmissionValues) -> Limit:
    """The limit under new bounds."""
    return Limit(_clamp(limit.value, bounds), limit.reason, limit.unloaded_seconds, limit.past)


def advance(limit: Limit, window: Window, bounds: AdmissionValues) -> Limit:
    """The limit after one more window.

    Worked example: L = 100, unloaded 20 ms, now 40 ms: 100·(1 − 1.25·20/40) = 38 wait, more than 6·2: 98.
    """
    past = (*limit.past, window)[-REMEMBERED:]
    latency = median(each.p90_seconds for each in past[-SMOOTHED:])
    unloaded = _unloaded(limit, window, latency)
    step = max(1.0, log10(limit.value))
    reason = _judge(limit.value, past, 1 - HEADROOM * unloaded / latency if latency else 0.0, bounds)
    value = {
        Reason.BRAKE: BRAKE * limit.value,
        Reason.VETO: limit.value - step,
        Reason.QUEUE: limit.value - step,
        Reason.GROWTH: limit.value + step,
    }.get(reason, limit.value)
    return Limit(_clamp(value, bounds), reason, unloaded, past)


def _judge(limit: float, past: Sequence[Window], waiting_share: float, bounds: AdmissionValues) -> Reason:
    window, step = past[-1], max(1.0, log10(limit))
    waiting = ceil(limit * waiting_share)
    promised = bounds.p95_seconds
    if (promised and window.p90_seconds > BRAKE_ABOVE * promised) or window.failed_ratio > FAILED_ABOVE:
        return Reason.BRAKE
    if window.in_flight < limit / 2:
        return Reason.IDLE
    if promised and window.p90_seconds <= EASY_BELOW * promised:
        return Reason.GROWTH
    if window.in_flight >= int(limit) and _in_vain(past):
        return Reason.VETO
    if waiting > 6 * step:
        return Reason.QUEUE
    return Reason.GROWTH if waiting < 3 * step else Reason.STEADY


def _in_vain(past: Sequence[Window]) -> bool:
    """Whether admitting more has bought no responses, but waiting."""
    in_flight = [float(window.in_flight) for window in past]
    responses = [window.responses_per_second for window in past]
    gained, waited = _correlation(in_flight, responses), _correlation(in_flight, [each.p90_seconds for each in past])
    if gained < 0:
        return True
    return waited > UNCORRELATED and (gained < 0.3 or pstdev(responses) < 0.2 * fmean(responses))


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Pearson's; 0 where it says nothing."""
    try:
        found = correlation(one, other)
    except StatisticsError:
        return 0.0
    constant = any(pstdev(values) < CONSTANT * fmean(values) for values in (one, other))
    return 0.0 if constant or abs(found) < UNCORRELATED else found


def _unloaded(limit: Limit, window: Window, latency: float) -> float:
    """Falls at once, and rises only while the limit does not bind: what an overload takes is not what work takes."""
    known = limit.unloaded_seconds
    if known is None or latency <= known:
        return latency
    return known + FORGETTING * (latency - known) if window.in_flight < limit.value / 2 else known


def _clamp(value: float, bounds: AdmissionValues) -> float:
    return min(max(value, float(bounds.min)), float(bounds.max))
