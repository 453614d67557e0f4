"""Compares the window after a change with the one before it: do they compare at all, and is the later one worse?

Slower is a p95 that rose by more than the dead band max(10 %, tolerance, 3 σ), and surely rose at all. σ is the noise
between windows in which nothing changed. Each window's p95 has an interval by binomial order statistics
(`core/measure/histogram.py`); that of their ratio r follows from both, without a distribution being assumed:

    ln r - √(ln²(after/after.low) + ln²(before.high/before)) … ln r + √(ln²(after.high/after) + ln²(before/before.low))

Source: G. Y. Zou, A. Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27,
2008.
Worked example: 20 ms in [19.2, 20.9], then 23 ms in [22, 24.1]: r = 1.15, ln r = 0.140, halves 0.044 and 0.044:
0.140 ± 0.063, a rise by 8 to 22 %: it surely rose, and by more than 10 %.

p95 also rises where only more of the requests are slow ones. As much of the requests as went to other routes, and one
in a hundred at least, may be why: unless p95 less that share is higher than p95 was before, the windows do not compare.
Worked example: 4.4 % of the requests are reports of 2 s, then 5.2 %: p95 5 ms → 2 s, but p94 is 5 ms.
"""

from math import exp, hypot, log, sqrt
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.model.policy import Prefer
from paceline_operator.core.situation.experience import noise_of, same_load
from paceline_operator.core.situation.memory import Measured
from paceline_operator.core.situation.situation import Situation

LEAST_DEAD_BAND: Final = 0.10
CHANCE: Final = sqrt(2) * 3.58
"""Over √n: what the p95s of two windows of n requests differ by chance."""
MIX_MOVED: Final = 0.15
"""Share of the requests that went to other routes, above which two windows do not compare."""
UNSEEN: Final = 0.01
"""Share of the requests that may have become slow ones without any route group telling."""
ALIKE: Final = 1.02
"""Two quantiles whose ratio is smaller are equal: half of a bucket."""


def confounded(baseline: Measured, measured: Measured) -> bool:
    """Whether load or route mix moved so that they may be why p95 did. Faster under more of the same load is not.

    Nor do windows compare in which not the same objectives could be judged.
    """
    if baseline.figure.counted != measured.figure.counted:
        return True
    if baseline.mix and mix_moved(baseline, measured) > MIX_MOVED:
        return True
    better = measured.p95_seconds <= baseline.p95_seconds
    return not same_load(baseline.load, measured.load) and not (better and measured.load > baseline.load)


def mix_moved(baseline: Measured, measured: Measured) -> float:
    """The share of the requests that went to other routes; 0 where nobody names any."""
    groups = baseline.mix.keys() | measured.mix.keys() if baseline.mix else frozenset[str]()
    return sum(abs(baseline.mix.get(group, 0.0) - measured.mix.get(group, 0.0)) for group in groups) / 2


def more_slow_ones(baseline: Measured, measured: Measured, seen: Observation) -> bool:
    """Whether p95 rose because more of the requests are slow ones, and not because requests are slower."""
    share = max(UNSEEN, mix_moved(baseline, measured))
    return measured.p95_seconds > ALIKE * baseline.p95_seconds >= seen.lowered(share)


def slower(situation: Situation, baseline: Measured, measured: Measured) -> str:
    """Says by how much p95 rose, where it surely rose and by more than the dead band; else empty."""
    least, ratio, _ = ratio_interval(baseline, measured)
    allowed = 1 + dead_band(situation.policy.behavior.tolerance, noise_of(situation.memory))
    if ratio <= allowed or least <= 1:
        return ""
    return f"{described(baseline, measured)}, ×{ratio:.2f} > {allowed:.2f}"


def slower_than_others(situation: Situation, past: Measured, tried: Measured, then: Measured, others: Measured) -> str:
    """The same of pods on trial, by the difference of differences: how p95 moved on them over how it moved elsewhere.

    Worked example: 25 ms, then 26 ms on the pod that tries it, 20 ms, then 21 ms elsewhere: 1.04 / 1.05 = 0.99.
    """
    least, own, _ = ratio_interval(past, tried)
    _, usual, most = ratio_interval(then, others)
    ratio, allowed = own / usual, 1 + dead_band(situation.policy.behavior.tolerance, noise_of(situation.memory))
    if ratio <= allowed or ratio * exp(-hypot(_log(own, least), _log(most, usual))) <= 1:
        return ""
    return (
        f"{described(past, tried)} where it was tried, {described(then, others).removeprefix(f'{then.figure.name} ')}"
    )


def described(baseline: Measured, measured: Measured) -> str:
    """`p95 20ms → 24ms`; where another objective is the worst one now `p95 20ms → GET /reports/* p95 3s`."""
    before, after = baseline.figure, measured.figure
    told = after.text if before.name == after.name else after.told
    return f"{before.told(baseline.p95_seconds)} → {told(measured.p95_seconds)}"


def ratio_interval(baseline: Measured, measured: Measured) -> tuple[float, float, float]:
    """The later p95 over the earlier one: the least it can be, what was measured, the most; with 99 % confidence."""
    before, after = max(baseline.p95_seconds, 1e-6), max(measured.p95_seconds, 1e-6)
    down = hypot(_log(after, measured.low), _log(baseline.high, before))
    up = hypot(_log(measured.high, after), _log(before, baseline.low))
    return after / before * exp(-down), after / before, after / before * exp(up)


def dead_band(tolerance: float, noise: float = 0.0) -> float:
    """By how much, as a share, p95 may rise before a change is taken back."""
    return max(LEAST_DEAD_BAND, tolerance, 3 * noise)


def uncertain(situation: Situation, samples: int) -> float:
    """How far from 1 the ratio of two p95s may be though nothing changed: by chance, and by the service's noise."""
    return hypot(CHANCE / sqrt(samples), 2 * noise_of(situation.memory))


def meets_cheaper(situation: Situation, measured: Measured) -> bool:
    """With `prefer: cost` a slower response is what was wanted, as long as the objective is met."""
    objective = situation.policy.objective
    if objective is None or objective.prefer is not Prefer.COST:
        return False
    return measured.p95_seconds <= objective.limit.total_seconds()


def _log(larger: float, smaller: float) -> float:
    return max(0.0, log(max(larger, 1e-6) / max(smaller, 1e-6)))
