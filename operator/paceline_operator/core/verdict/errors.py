"""Did errors rise, or is it chance? A likelihood-ratio test of two windows, asked only above the objective.

A rise counts when all of these hold:

- the later error ratio is above `objective.errorRatio`: what the policy allows is no reason to undo a change;
- it is not chance: G = 2 Σ observed · ln(observed / expected) > 15.1, which happens in one of 10,000 pairs of windows
  in which nothing changed;
- it matters: at least five errors more than before, and a rise by a tenth;
- it is no matter of a tenth of the pods: without those that failed most, errors rose as well.

Source: the G-test of independence (R. R. Sokal, F. J. Rohlf, "Biometry", ch. 17); 15.1 is the 0.9999 quantile of χ²
with one degree of freedom.

| before | after | objective | G | verdict |
| --- | --- | --- | --- | --- |
| 200 of 20,000 | 240 of 20,000 | 0.1 % | 3.7 | chance |
| 200 of 20,000 | 300 of 20,000 | 0.1 % | 20.4 | more errors |
| 354 of 20,000 | 400 of 20,000 | 5 % | – | allowed |
"""

from math import floor, log
from typing import Final

from paceline_operator.core.measure.observation import Observation
from paceline_operator.core.situation.memory import Measured

SURELY: Final = 15.1
"""What G exceeds by chance once in 10,000 times."""
LEAST_MORE: Final = 5
"""Errors beyond those of the baseline, below which nothing is concluded."""
LEAST_RISE: Final = 1.1


def more_errors(baseline: Measured, measured: Measured, allowed_ratio: float) -> bool:
    """Whether errors rose above what the objective allows, by more than chance and by enough to matter."""
    before, after = round(baseline.error_ratio * baseline.samples), round(measured.error_ratio * measured.samples)
    if measured.error_ratio <= allowed_ratio or measured.error_ratio < LEAST_RISE * baseline.error_ratio:
        return False
    if after - baseline.error_ratio * measured.samples < LEAST_MORE:
        return False
    return g_statistic(before, baseline.samples, after, measured.samples) > SURELY


def without_the_worst(seen: Observation, share: float) -> Observation:
    """The window without that share of the pods, those that failed most. Worked example: of 25 pods and 10 % the two
    worst are left out, of 9 none."""
    worst = sorted(seen.each, key=lambda uid: seen.each[uid].errors)[len(seen.each) - floor(share * len(seen.each)) :]
    return seen.of(seen.each.keys() - set(worst)) or seen


def g_statistic(before: int, before_of: int, after: int, after_of: int) -> float:
    """G of two shares, `before` of `before_of` and `after` of `after_of`; 0 where one of the windows is empty.

    Worked example: 200 of 20,000 and 300 of 20,000: both are expected to have 250 errors; G = 20.4.
    """
    if not before_of or not after_of:
        return 0.0
    pooled = (before + after) / (before_of + after_of)
    cells = (
        (before, before_of * pooled),
        (before_of - before, before_of * (1 - pooled)),
        (after, after_of * pooled),
        (after_of - after, after_of * (1 - pooled)),
    )
    return 2 * sum(observed * log(observed / expected) for observed, expected in cells if observed and expected)
