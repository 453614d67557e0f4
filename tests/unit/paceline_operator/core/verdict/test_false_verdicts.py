"""Verdicts on windows drawn at random: of a hundred changes that did no harm one at most goes back; one that did harm
never stays."""

import os
from dataclasses import dataclass, replace
from math import log2

import numpy as np
import pytest
from paceline_operator.core.measure.histogram import Histogram, merge
from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.decision import Change, Reason
from paceline_operator.core.model.policy import Behavior
from paceline_operator.core.model.tunables import WORKERS
from paceline_operator.core.situation.memory import Measured, Memory, Pending
from paceline_operator.core.verdict.verify import verify
from situations import COST, lognormal, observation, pending, policy, situation

PAIRS = int(os.environ.get("VERDICT_PAIRS", "100"))
"""Drawn for each row; a row passes with one false verdict in a hundred or fewer."""


@dataclass(frozen=True)
class Service:
    """What its requests are like."""

    p95: float = 0.020
    errors: float = 0.01
    slow_share: float = 0.0
    """Share of requests of 2 s, in a mode of their own."""
    cv: float = 1.0

    def window(self, count: int, rng: np.random.Generator) -> Observation:
        slow = int(rng.binomial(count, self.slow_share))
        return observation(
            requests=count,
            duration=merge((_drawn(self.p95, count - slow, self.cv, rng), _drawn(2.0, slow, 0.2, rng))),
            errors=int(rng.binomial(count, self.errors)),
            requests_per_second=count / 60 * float(rng.normal(1, 0.02)),
        )


SHAPES = {cv: lognormal(1.0, 4000, cv) for cv in (0.2, 1.0, 2.0)}


def _drawn(p95: float, count: int, cv: float, rng: np.random.Generator) -> Histogram:
    """`count` values of the shape with this p95, drawn bucket by bucket."""
    shape, shift = SHAPES[cv], round(16 * log2(p95))
    drawn = rng.multinomial(count, [number / 4000 for number in shape.buckets.values()])
    buckets = {index + shift: int(n) for index, n in zip(shape.buckets, drawn, strict=True) if n}
    return Histogram(4, 0, buckets, p95 * count / 2)


def _taken_back(change: Pending, then: Service, now: Service, count: int, rng: np.random.Generator) -> bool:
    """Judges one change, window by window, until there is a verdict."""
    baseline = Measured.of(then.window(count, rng))
    assert baseline is not None
    memory = Memory(pending=replace(change, baseline=baseline))
    content = policy(objective=COST, behavior=Behavior(min_samples=200))
    while memory.pending is not None:
        decision, memory = verify(situation(memory=memory, policy=content, observation=now.window(count, rng)))
        if decision is not None:
            return True
    return False


GIVEN_BACK = pending(changes=(Change(WORKERS, 5, 4),), reason=Reason.WORKERS_OVERSIZED)
GROWN = pending(changes=(Change(WORKERS, 2, 4),), reason=Reason.LOOP_LAG_HIGH, promised=0.5)
COUNTS = (200, 2000, 50_000)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    "service",
    [
        pytest.param(Service(errors=0.005), id="errors 0.5 %"),
        pytest.param(Service(errors=0.01), id="errors 1 %"),
        pytest.param(Service(errors=0.02), id="errors 2 %"),
        pytest.param(Service(errors=0.03), id="errors 3 %"),
        pytest.param(Service(cv=2.0), id="heavy tail"),
        pytest.param(Service(p95=0.005, slow_share=0.044), id="4.4 % slow requests"),
        pytest.param(Service(p95=0.005, slow_share=0.05), id="5 % slow requests"),
        pytest.param(Service(p95=0.005, slow_share=0.02), id="2 % slow requests"),
    ],
)
def test_nothing_changed(service: Service, count: int) -> None:
    rng = np.random.default_rng(count)
    false = sum(_taken_back(GIVEN_BACK, service, service, count, rng) for _ in range(PAIRS))
    assert false <= PAIRS / 100


@pytest.mark.parametrize("count", COUNTS)
def test_what_gained_as_promised_stays(count: int) -> None:
    rng = np.random.default_rng(count)
    then, now = Service(p95=0.080), Service(p95=0.040)
    false = sum(_taken_back(GROWN, then, now, count, rng) for _ in range(PAIRS))
    assert false <= PAIRS / 100


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(
    ("change", "then", "now"),
    [
        pytest.param(GROWN, Service(p95=0.060), Service(p95=0.100), id="grew and became slower"),
        pytest.param(GIVEN_BACK, Service(p95=0.030), Service(p95=0.090), id="gave back too much"),
        pytest.param(GIVEN_BACK, Service(errors=0.01), Service(errors=0.20), id="gave back, and requests fail"),
        pytest.param(GIVEN_BACK, Service(p95=0.005), Service(p95=0.005, slow_share=0.15), id="some take seconds now"),
    ],
)
def test_harm_never_stays(change: Pending, then: Service, now: Service, count: int) -> None:
    rng = np.random.default_rng(count)
    assert all(_taken_back(change, then, now, count, rng) for _ in range(PAIRS))


@pytest.mark.parametrize("count", [2000, 50_000])
def test_growth_for_nothing_goes_back(count: int) -> None:
    """Of 200 requests a window, chance alone looks like half of the gain in one of fifteen."""
    rng = np.random.default_rng(count)
    service = Service(p95=0.067)
    assert all(_taken_back(GROWN, service, service, count, rng) for _ in range(PAIRS))
