"""Fits the queueing model to one window.

What the model does not explain of the window is kept as it was, so that at the values in force it says what was
measured.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.measure.responses import judged
from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.core.queueing.predict import SPREADS, Model, PoolModel, Promised, turn
from paceline_operator.core.queueing.queueing import BURSTINESS
from paceline_operator.core.queueing.waits import CPU_CV2, FULL, Wait, quota_wait

WORKER_OVERHEAD: Final = 0.01
"""Share by which one more worker makes a request's CPU time longer, until two worker counts have been measured."""
LEAST_THROTTLED: Final = 0.01
"""Below this share of throttled periods the quota is not in the way."""
MOST_STALLS: Final = 5.0
MOST_TAIL: Final = 30.0
LEAST_CHECKOUTS: Final = 50
"""In a window, to tell how long a pool's connections are held: to 14 % (1/√50) where holds are exponential. A pool that
is starved has few."""
LEAST_BUSY: Final = 1e-6
"""Below this load of a loop its lag says nothing of what it does."""
MOST_SLICE: Final = 4.0
"""How many times longer than its CPU time lets expect a turn on the loop may be: CPU times that vary by 2.5 times their
mean. Lag beyond that is none of the requests' doing, and no worker takes it away: a neighbour's, the node's."""
LONGEST: Final = timedelta(days=10)
"""What takes longer was not measured, but is an error of whoever reported it."""


def fit(
    observation: Observation, workers: float, pools: Mapping[str, float], overhead: float = WORKER_OVERHEAD
) -> Model | None:
    """The model that agrees with a window; None where a queue was full, or figures are missing or absurd.

    Args:
        observation: the window.
        workers: that served it, in each pod.
        pools: their limits, per worker.
        overhead: what one more worker adds to a request's CPU time, as a share.
    """
    lag, most = observation.loop_lag.mean, observation.commonest
    slow, mean = most.seconds, most.duration.mean
    if lag is None or not slow or not mean or not observation.requests:
        return None
    arrivals = observation.requests_per_second / observation.pods
    cpu = observation.loop_cpu_seconds / observation.requests
    limit = observation.cpu_limit
    if not _measurable(lag, slow, mean, cpu, *(p.hold.mean or 0.0 for p in observation.pools.values())):
        return None
    if not LEAST_BUSY <= arrivals * cpu / workers < FULL or not (limit is None or arrivals * cpu < FULL * limit):
        return None
    passes = 1 + sum(max(p.hold.count, p.wait.count) for p in observation.pools.values()) / observation.requests
    slice_seconds, stalls = _fitted_loop(observation, arrivals, cpu, workers, passes)
    named = _fitted_pools(observation, lag, slice_seconds, cpu)
    foreign, calls = _foreign(lag, arrivals * cpu / workers, slice_seconds, observation, workers), _calls(observation)
    work = _work(cpu, named, foreign, passes)
    work = Wait(work.mean + calls.mean, work.variance + calls.variance)
    bare = Model(arrivals, cpu, workers, overhead, slice_seconds, limit, stalls, named, work, Wait(1.0, 1.0))
    parts = bare.waits(workers, pools)
    if parts is None:
        return None
    spread = (max(0.0, slow - mean) / SPREADS[most.quantile]) ** 2
    rest_mean, tail_mean = _explained(mean, work.mean, sum(wait.mean for wait in parts))
    rest_variance, tail_variance = _explained(spread, work.variance, sum(wait.variance for wait in parts))
    fitted = replace(bare, rest=Wait(rest_mean, rest_variance), tail=Wait(tail_mean, tail_variance))
    return replace(fitted, promised=_promised(observation, fitted, workers, pools)) if observation.responses else fitted


def _promised(
    observation: Observation, model: Model, workers: float, pools: Mapping[str, float]
) -> tuple[Promised, ...]:
    """So that the model says of each objective what was measured, at the values in force.

    Worked example: all others p95 30 ms, by the model as well, reports 3 s: they take 2.97 s more, whatever is changed;
    a setting that promises the others 20 ms promises the reports 2.99 s.
    """
    mean, deviation = model.moments(workers, pools) or (0.0, 0.0)
    found = []
    for each in judged(observation.responses):
        spread = SPREADS[each.quantile]
        model_says = mean + spread * deviation
        slower = each.seconds >= model_says or not model_says
        factor, offset = (1.0, each.seconds - model_says) if slower else (each.seconds / model_says, 0.0)
        found.append(Promised(each.unit, spread, factor, offset))
    return tuple(found)


def _measurable(*seconds: float) -> bool:
    """False for what is no number, too."""
    return all(0 <= figure <= LONGEST.total_seconds() for figure in seconds)


def _explained(measured: float, work: float, waits: float) -> tuple[float, float]:
    """What is not waiting, and the factor on the waits, so that together they are what was measured.

    Less than expected is laid to the work, down to half of it, more to the waits, which bursts make longer than theory
    does.
    """
    if waits <= 0:
        return measured, 1.0
    least = min(work, measured) / 2
    rest = min(max(measured - waits, least), work)
    factor = min((measured - rest) / waits, MOST_TAIL)
    return measured - factor * waits, factor


def longest_slice(cpu_seconds: float, passes: float) -> float:
    """The longest S of the event loop that the CPU time of a request allows for, with so many passes of the loop.

    Worked example: 4 ms of CPU in two passes: slices of 2 ms, S = 4 · 0.78 · 2 ms = 6.25 ms. A loop busy 15 % of the
    time lags 1.1 ms by that; of 40 ms measured, 39 ms are not the requests' doing.
    """
    return MOST_SLICE * (1 + CPU_CV2) / 2 * BURSTINESS * cpu_seconds / passes


def _foreign(lag: float, busy: float, slice_seconds: float, observation: Observation, workers: float) -> float:
    """Lag that neither the loop's own work nor a quota explains: it is there whatever the number of workers."""
    limit, throttled = observation.cpu_limit, observation.throttled_ratio or 0.0
    if limit is not None and workers > limit and throttled >= LEAST_THROTTLED:
        return 0.0
    return max(0.0, lag - slice_seconds * busy / (1 - busy))


def _work(cpu_seconds: float, pools: Mapping[str, PoolModel], foreign: float, passes: float) -> Wait:
    """A request that waits for nothing that more of anything would shorten: its CPU time, its queries and foreign lag,
    both taken as exponential."""
    queries = pools.values()
    return Wait(
        cpu_seconds + passes * foreign + sum(model.queries * model.query_seconds for model in queries),
        CPU_CV2 * cpu_seconds**2
        + passes * foreign**2
        + sum(model.queries * model.query_seconds**2 for model in queries),
    )


def _calls(observation: Observation) -> Wait:
    """What a request spends in process pools, waiting there included: no worker and no connection shortens it.

    A call is taken as exponential. Worked example: one request in ten for 200 ms: 20 ms, variance 0.1 · 1.9 · 0.2².
    """
    mean = variance = 0.0
    for queue in observation.queues.values():
        calls = queue.hold.count / observation.requests
        seconds = (queue.hold.mean or 0.0) + (queue.wait.mean or 0.0)
        mean += calls * seconds
        variance += calls * max(1.0, 2 - calls) * seconds**2
    return Wait(mean, variance)


def _fitted_loop(
    observation: Observation, arrivals: float, cpu: float, workers: float, passes: float
) -> tuple[float, float]:
    """S, and how much more the quota delays than the model says, so that the lag is what was measured.

    Without a quota in the way all lag is the loop's, as far as its CPU time bears that. With one the loop's share is
    what theory gives for slices of equal length, and the rest is the quota's.
    """
    lag, busy = observation.loop_lag.mean or 0.0, arrivals * cpu / workers
    limit, throttled = observation.cpu_limit, observation.throttled_ratio or 0.0
    if limit is None or workers <= limit or throttled < LEAST_THROTTLED:
        return min(lag * (1 - busy) / busy, longest_slice(cpu, passes)), 1.0
    slice_seconds = min((1 + CPU_CV2) / 2 * BURSTINESS * cpu / passes, lag * (1 - busy) / busy)
    expected = quota_wait(arrivals, cpu, limit)
    left = lag - slice_seconds * busy / (1 - busy)
    return slice_seconds, min(max(left / expected.mean, 0.0), MOST_STALLS) if expected and expected.mean else 1.0


def _fitted_pools(observation: Observation, lag: float, slice_seconds: float, cpu: float) -> Mapping[str, PoolModel]:
    found = {}
    for name, seen in observation.pools.items():
        hold = seen.hold.mean
        if hold is not None and seen.hold.count >= LEAST_CHECKOUTS:
            found[name] = PoolModel(
                max(seen.hold.count, seen.wait.count) / observation.requests,
                max(0.1 * hold, hold - lag - turn(slice_seconds, cpu)),
            )
    return found or NOTHING
