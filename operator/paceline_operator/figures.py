"""What a pass tells of a policy in numbers, for metrics."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

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


Figures: TypeAlias = Callable[[PolicyKey, PolicyFigures | None], None]
"""Takes the figures of a pass; None where the policy is gone. Must not block and must not raise."""


def unheard(key: PolicyKey, figures: PolicyFigures | None) -> None:
    """For a loop without metrics."""


def conditions_in(status: Mapping[str, Any]) -> Mapping[str, str]:
    """The conditions of a status, by type."""
    return {each["type"]: each["status"] for each in status.get("conditions") or ()}
