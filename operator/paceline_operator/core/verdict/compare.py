"""Compares the window after a change with the one before it: do they compare at all, and is the later one worse?

Slower is a p95 beyond the dead band `max(10 %, tolerance, 3 σ, √2 · 3.58/√n)`, or surely by more than 5 %. σ is the
noise between windows in which nothing changed; the last term is what two windows of n requests differ by chance.
Source: the 95 % interval of a lognormal p95 (CV 1) is ± 8 % at n = 2000, ± 2.5 % at 20000.

| n | chance | dead band | surely worse from |
| --- | --- | --- | --- |
| 200 | 36 % | 36 % | 43 % |
| 2000 | 11 % | 11 % | 17 % |
| 20000 | 3.6 % | 10 % | 9 % |
"""

from math import hypot, sqrt
from typing import Final

from paceline_operator.core.model.durations import format_duration
from paceline_operator.core.model.policy import Prefer
from paceline_operator.core.situation.experience import noise_of, same_load
from paceline_operator.core.situation.memory import Measured
from paceline_operator.core.situation.situation import Situation

LEAST_DEAD_BAND: Final = 0.10
CHANCE: Final = sqrt(2) * 3.58
SURELY_WORSE: Final = 1.05
MIX_MOVED: Final = 0.15
"""Share of the requests that went to other routes, above which two windows do not compare."""


def confounded(baseline: Measured, measured: Measured) -> bool:
    """Whether load or route mix moved so that they may be why p95 did. Faster under more of the same load is not."""
    groups = baseline.mix.keys() | measured.mix.keys()
    moved = sum(abs(baseline.mix.get(group, 0.0) - measured.mix.get(group, 0.0)) for group in groups) / 2
    if baseline.mix and moved > MIX_MOVED:
        return True
    better = measured.p95_seconds <= baseline.p95_seconds
    return not same_load(baseline.load, measured.load) and not (better and measured.load > baseline.load)


def slower(baseline: Measured, measured: Measured, allowed: float) -> str:
    """Says by how much p95 rose, where that is more than the allowed ratio; else empty."""
    ratio = measured.p95_seconds / max(baseline.p95_seconds, 1e-6)
    if ratio <= allowed:
        return ""
    before, after = format_duration(baseline.p95_seconds), format_duration(measured.p95_seconds)
    return f"p95 {before} → {after}, ×{ratio:.2f} > {allowed:.2f}"


def most_rise(situation: Situation, samples: int) -> float:
    """The largest ratio of two p95s, the smaller window having so many samples, that takes no change back."""
    band = dead_band(situation.policy.behavior.tolerance, samples, noise_of(situation.memory))
    return min(1 + band, SURELY_WORSE * (1 + uncertain(situation, samples)))


def dead_band(tolerance: float, samples: int, noise: float = 0.0) -> float:
    """By how much, as a share, p95 may rise before a change is taken back."""
    return max(LEAST_DEAD_BAND, tolerance, 3 * noise, CHANCE / sqrt(samples))


def uncertain(situation: Situation, samples: int) -> float:
    """How far from 1 the ratio of two p95s may be though nothing changed: by chance, and by the service's noise."""
    return hypot(CHANCE / sqrt(samples), 2 * noise_of(situation.memory))


def meets_cheaper(situation: Situation, measured: Measured) -> bool:
    """With `prefer: cost` a slower response is what was wanted, as long as the objective is met."""
    objective = situation.policy.objective
    if objective is None or objective.prefer is not Prefer.COST:
        return False
    return measured.p95_seconds <= objective.p95.total_seconds()
