"""How many pods of a workload may hold connections at the same time, at the worst.

| part | how many |
| --- | --- |
| replicas | the autoscaler's maximum, else the policy's `maxReplicas`, else `spec.replicas`; never below what is asked for |
| surge | what a rollout adds, rounded up as Kubernetes does |
| terminating | pods that are told to end and still drain: as many as the replicas, or only surge + unavailable where a rollout waits longer for each pod than an old one may take to end |

A StatefulSet's pod ends before its successor starts, so it has neither surge nor terminating pods.
"""  # noqa: E501 - a table

from dataclasses import dataclass
from math import ceil, floor
from typing import Final

from paceline_operator.core.model.tunables import WORKERS, Kind, Values

SURGE: Final = 0.25
"""What Kubernetes takes where a workload does not say."""
GRACE_SECONDS: Final = 30.0
_ROUNDING: Final = 1e-9

Pods = int | float
"""A number of pods, or as a float their share of the replicas."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a workload says about how many pods it may have."""

    replicas: int = 0
    surge: Pods = SURGE
    unavailable: Pods = SURGE
    min_ready_seconds: float = 0.0
    grace_seconds: float = GRACE_SECONDS
    in_place: bool = False
    """Each pod ends before its successor starts."""


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most pods there may be, by part."""

    replicas: int
    surge: int
    terminating: int
    source: str
    """Who says how many replicas there may be."""
    seen: int = 0
    """Pods that exist, whatever anybody says."""

    @property
    def pods(self) -> int:
        """All of them."""
        return max(self.replicas + self.surge + self.terminating, self.seen)

    def __str__(self) -> str:
        if self.seen == self.pods > self.replicas + self.surge + self.terminating:
            return f"{self.pods} pods that exist, more than {self.source} allows"
        parts = [f"{self.replicas} by {self.source}"]
        parts += [f"{self.surge} surge"] if self.surge else []
        parts += [f"{self.terminating} terminating"] if self.terminating else []
        return f"{self.pods} pods ({', '.join(parts)})"


def worst_case(shape: Shape, *, autoscaler: int | None, policy: int | None, seen: int = 0) -> WorstCase:
    """The most pods that the workload may have at any instant.

    Worked example: an autoscaler up to 4, a surge of 25 % and as many unavailable → 4 + 1 + 4 terminating = 9; with
    `minReadySeconds` no shorter than the grace period → 4 + 1 + (1 + 1) = 7.
    """
    said = ((autoscaler, "the autoscaler's maximum"), (policy, "the policy's maxReplicas"))
    most, source = next(((number, who) for number, who in said if number is not None), (shape.replicas, ""))
    if shape.replicas > most or not source:
        most, source = shape.replicas, "spec.replicas"
    surge = 0 if shape.in_place else _rounded(shape.surge, most, up=True)
    return WorstCase(most, surge, _terminating(shape, most, surge), source, seen)


def connections_per_pod(values: Values, pools: frozenset[str]) -> int:
    """What the named pools of one pod may open: workers × the sum of their limits."""
    limits = sum(size for tunable, size in values.items() if tunable.kind is Kind.POOL and tunable.name in pools)
    return ceil(values.get(WORKERS, 1.0) * limits - _ROUNDING)


def _terminating(shape: Shape, most: int, surge: int) -> int:
    if shape.in_place:
        return 0
    if shape.min_ready_seconds < shape.grace_seconds:
        return most
    unavailable = _rounded(shape.unavailable, most, up=False)
    return min(most, surge + max(unavailable, 0 if surge else 1))


def _rounded(pods: Pods, replicas: int, *, up: bool) -> int:
    if isinstance(pods, int):
        return pods
    return ceil(pods * replicas - _ROUNDING) if up else floor(pods * replicas + _ROUNDING)
