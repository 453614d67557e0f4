"""The HorizontalPodAutoscaler's law on CPU, pure."""

from collections.abc import Sequence
from math import ceil
from typing import Final

from paceline_operator.simulation.scenario import HpaPart

TOLERANCE: Final = 0.1
STABILISATION: Final = 5
"""It scales down to the largest wish of so many intervals."""


def wish(hpa: HpaPart, replicas: int, cpu_ratio: float) -> int:
    """`ceil(replicas · ratio / target)`, unless the ratio is within a tenth of its target.

    Worked example: 10 replicas at 50 % with a target of 70 % → 8.
    """
    quotient = cpu_ratio / hpa.targetCpuRatio
    wanted = replicas if abs(quotient - 1) <= TOLERANCE else ceil(replicas * quotient)
    return min(max(wanted, hpa.min), hpa.max)


def scaled(replicas: int, wishes: Sequence[int]) -> int:
    """Up at once, down to the largest of the last wishes."""
    newest = wishes[-1]
    return newest if newest >= replicas else max(wishes[-STABILISATION:])
