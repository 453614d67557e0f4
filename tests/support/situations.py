"""Situations for tests of the tuning core: valid and dull by default; a test overrides what it is about."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import ceil, exp, log, log2, sqrt
from statistics import NormalDist
from typing import Any

from paceline_operator.core.decide import decide
from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.measure.observation import Observation, PoolObservation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Behavior, Bounds, Objective, Policy, Prefer, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, pool
from paceline_operator.core.queueing.fit import fit
from paceline_operator.core.queueing.predict import Model
from paceline_operator.core.situation.memory import Measured, Memory, Pending
from paceline_operator.core.situation.situation import Ended, Fleet, Member, Situation

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
POSTGRES = pool("postgres")
MAIN = "data/main"
"""A ConnectionBudget."""
OBJECTIVE = Objective(timedelta(milliseconds=45), prefer=Prefer.LATENCY)
COST = Objective(timedelta(milliseconds=45))


def seconds(value: float, count: int = 1000) -> Histogram:
    """A histogram that holds one value, as good as scale 20 tells it."""
    if value == 0:
        return Histogram(20, count)
    return Histogram(20, 0, {ceil(log2(value) * 2**20) - 1: count}, value * count)


def lognormal(p95: float, count: int, cv: float = 1.0) -> Histogram:
    """As many values as asked for, each at its own quantile of the lognormal distribution with this p95."""
    sigma = sqrt(log(1 + cv * cv))
    normal = NormalDist()
    median = p95 / exp(sigma * normal.inv_cdf(0.95))
    values = (median * exp(sigma * normal.inv_cdf((rank + 0.5) / count)) for rank in range(count))
    buckets = Counter(ceil(log2(value) * 16) - 1 for value in values)
    return Histogram(4, 0, dict(buckets), count * median * exp(sigma * sigma / 2))


def workers_spec(minimum: int = 1, maximum: int = 8) -> TunableSpec:
    return TunableSpec(WORKERS, bounds=Bounds(minimum, maximum))


def pool_spec(minimum: int = 1, maximum: int = 40, budget: str | None = None) -> TunableSpec:
    return TunableSpec(POSTGRES, bounds=Bounds(minimum, maximum), budget=budget)


def policy(*specs: TunableSpec, **changes: Any) -> Policy:
    chosen = specs or (workers_spec(), pool_spec())
    base = Policy({s.tunable: s for s in chosen}, OBJECTIVE, Behavior(min_samples=1000))
    return replace(base, **changes)


def pool_seen(**changes: Any) -> PoolObservation:
    base = PoolObservation(limit=8, cap=64, wait=seconds(0), hold=seconds(0.006), timeouts=0, arrivals_per_worker=200.0)
    return replace(base, **changes)


def postgres_seen(**changes: Any) -> Mapping[str, PoolObservation]:
    """What a window says of its pools: of one, `postgres`."""
    return {"postgres": pool_seen(**changes)}


def observation(**changes: Any) -> Observation:
    base = Observation(
        pods=4,
        window_seconds=60.0,
        requests=20_000,
        errors=0,
        requests_per_second=333.0,
        duration=seconds(0.020),
        loop_lag=seconds(0.001),
        pools=postgres_seen(),
    )
    return replace(base, **changes)


def fleet(**changes: Any) -> Fleet:
    return replace(Fleet(total=4, reporting=4, applied=4, generation=17), **changes)


def measured(**changes: Any) -> Measured:
    return replace(Measured(0.020, 0.0, 333.0, 20_000, pods=4), **changes)


def pending(**changes: Any) -> Pending:
    base = Pending(
        generation=17,
        changes=(Change(WORKERS, 2, 4), Change(POSTGRES, 10, 8)),
        reason=Reason.LOOP_LAG_HIGH,
        baseline=measured(),
        since=NOW - timedelta(seconds=75),
        deadline=NOW + timedelta(minutes=5),
    )
    return replace(base, **changes)


def ended(seconds_ago: float = 10.0, **changes: Any) -> tuple[Ended, ...]:
    """A container that ended for the first time, after the change that `pending` describes unless told otherwise."""
    return (replace(Ended("api", NOW - timedelta(seconds=seconds_ago)), **changes),)


def pods(count: int, *ends: tuple[Ended, ...]) -> tuple[Member, ...]:
    """So many pods, of which the first ones have ended as given."""
    return tuple(Member(f"pod-{n}", ended=ends[n] if n < len(ends) else ()) for n in range(count))


def situation(**changes: Any) -> Situation:
    """Four workers and eight connections each, nothing wrong."""
    base = Situation(
        policy=policy(),
        values={WORKERS: 4, POSTGRES: 8},
        fleet=fleet(),
        now=NOW,
        observation=observation(),
        memory=Memory(),
    )
    return replace(base, **changes)


def answers(p95: float, mean: float = 0.013, count: int = 48_000) -> Histogram:
    """One answer in ten takes `p95`, the others as long as the mean wants."""
    slow, others = seconds(p95, count // 10), seconds((mean - p95 / 10) / 0.9, count - count // 10)
    return merge((slow, others))


def served(workers: int, size: int, **changes: Any) -> Situation:
    """Four pods of 200 requests a second each, at 4 ms of CPU on two cores and one query of 6 ms."""
    window: dict[str, Any] = {
        "requests": 48_000,
        "requests_per_second": 800.0,
        "cpu_seconds": 48_000 * 0.004,
        "cpu_limit": 2.0,
        "cpu_ratio": 0.4,
        "throttled_ratio": 0.0,
        "duration": answers(0.024),
        "loop_lag": seconds(0.0005, 10_000),
        "pools": postgres_seen(
            limit=size, hold=seconds(0.008, 48_000), wait=seconds(0), arrivals_per_worker=200.0 / workers
        ),
    }
    window |= changes.pop("window", {})
    return situation(values=values(workers, size), observation=observation(**window), **changes)


def fitted(given_situation: Situation) -> Model:
    """The model of its window."""
    window = given_situation.observation
    assert window is not None
    model = fit(window, given_situation.values[WORKERS], {"postgres": given_situation.values[POSTGRES]})
    assert model is not None
    return model


def values(workers: int = 4, postgres: int = 8) -> Mapping[Any, float]:
    return {WORKERS: workers, POSTGRES: postgres}


def workers(old: int, new: int) -> Change:
    return Change(WORKERS, old, new)


def postgres(old: int, new: int) -> Change:
    return Change(POSTGRES, old, new)


LAGGING = seconds(0.010)
"""Loop lag that asks for one more worker."""
WAITING = postgres_seen(wait=seconds(0.012), arrivals_per_worker=800.0)
"""Waits that ask for more connections."""


def decided(given: Situation) -> tuple[tuple[Change, ...], Reason]:
    """What is done and why; that is also said in words."""
    decision, _ = decide(given)
    assert decision.message
    return decision.changes, decision.reason
