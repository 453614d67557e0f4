"""What a pass tells of a policy in numbers, for metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, TypeAlias

from paceline_operator.core.model.tunables import NOTHING
from paceline_operator.ports import PolicyKey


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a change that was judged."""

    reason: str
    """Why it was made."""
    outcome: str
    """`kept`, `rolled_back`, or `dropped`: a deploy, a person or a spec came in between."""
    predicted_seconds: float | None = None
    """p95 as the model promised it; None where it promised nothing."""
    observed_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a pass decided, for people to read."""

    reason: str
    message: str
    changes: tuple[str, ...] = ()
    """`workers 2→4`; empty for a hold."""
    generation: int | None = None
    applied: bool = False
    """Whether a document was written; False for what is only recommended."""
    trace_id: str | None = None
    latency_seconds: float | None = None
    """In the window that was decided on, at the percentile of the objective."""


@dataclass(frozen=True, slots=True)
class PodFigures:
    """One pod of the target."""

    name: str
    generation: int | None = None
    """What it runs; None where it does not report."""
    acked: bool = False
    trouble: str = ""
    """Why it is not counted on."""


@dataclass(frozen=True, slots=True)
class PolicyFigures:
    """None: this pass says nothing new of it, and what an earlier one said still holds."""

    conditions: Mapping[str, str] = field(default_factory=lambda: NOTHING)
    """`True`, `False` or `Unknown` by type."""
    paused: bool | None = None
    pods: int | None = None
    applied: int | None = None
    values: Mapping[str, float] | None = None
    """In force, by tunable: `workers`, `postgres` … in the unit of the tunable."""
    recommended: Mapping[str, float] | None = None
    latency: Mapping[float, float] | None = None
    """Seconds by quantile, of the last whole window."""
    objective_seconds: float | None = None
    wanted_replicas: int | None = None
    predicted_seconds: float | None = None
    """p95 that the model promised of the latest change."""
    changed: str | None = None
    """Reason of a change that was written in this pass."""
    verdict: Verdict | None = None
    mode: str | None = None
    quantile: float | None = None
    """That the objective is about: 0.95 or 0.99."""
    kinds: Mapping[str, str] | None = None
    """What each tunable of `values` is, as a word of `Kind`."""
    conclusion: Conclusion | None = None
    each_pod: tuple[PodFigures, ...] | None = None
    looked: bool = True
    """Whether the pass looked at the pods; where it did not, nothing is known of them now, and nothing stays."""


OF_PODS: Final = frozenset({"pods", "applied", "values", "recommended", "latency", "wanted_replicas", "each_pod"})
"""Figures that only a look at the pods can tell."""

Figures: TypeAlias = Callable[[PolicyKey, PolicyFigures | None], None]
"""Takes the figures of a pass; None where the policy is gone. Must not block and must not raise."""


def unheard(key: PolicyKey, figures: object) -> None:
    """For a loop without metrics."""


def conditions_in(status: Mapping[str, Any]) -> Mapping[str, str]:
    """The conditions of a status, by type."""
    return {each["type"]: each["status"] for each in status.get("conditions") or ()}


def merged(before: PolicyFigures, after: PolicyFigures) -> PolicyFigures:
    """All that is known after a pass that says something new of only some of it."""
    told = {each.name: getattr(after, each.name) for each in fields(after)}
    ended = frozenset() if after.looked else OF_PODS
    kept = {
        name: getattr(before, name) if value is None and name not in ended else value for name, value in told.items()
    }
    return PolicyFigures(**kept)
