"""How many pods a workload may have, by its own words. Pure: JSON in, a frozen value out."""

from collections.abc import Mapping
from typing import Any

from paceline_operator.core.budget.worst_case import GRACE_SECONDS, SURGE, Pods, Shape


def read_shape(item: Mapping[str, Any], replicas: int) -> Shape:
    """What its spec says of rollouts; `replicas` is what its scale asks for.

    | kind | surge | unavailable |
    | --- | --- | --- |
    | Deployment, Rollout (canary), any other | `maxSurge`, 25 % by default | `maxUnavailable`, 25 % by default |
    | Deployment with `Recreate` | none | all |
    | Rollout with `blueGreen` | all | none |
    | StatefulSet | none: each pod ends before its successor starts | |
    """
    spec = item.get("spec", {})
    pod = (spec.get("template") or {}).get("spec") or {}
    surge, unavailable = _rollout(spec.get("strategy") or {})
    return Shape(
        replicas=replicas,
        surge=surge,
        unavailable=unavailable,
        min_ready_seconds=spec.get("minReadySeconds") or 0,
        grace_seconds=pod.get("terminationGracePeriodSeconds", GRACE_SECONDS),
        in_place=item["kind"] == "StatefulSet",
    )


def _rollout(strategy: Mapping[str, Any]) -> tuple[Pods, Pods]:
    if strategy.get("type") == "Recreate":
        return 0, 1.0
    if "blueGreen" in strategy:
        return 1.0, 0
    rolling = strategy.get("rollingUpdate") or strategy.get("canary") or {}
    return _pods(rolling.get("maxSurge", SURGE)), _pods(rolling.get("maxUnavailable", SURGE))


def _pods(value: object) -> Pods:
    """`3` → 3, `"25%"` → 0.25; what cannot be read counts as by default."""
    if isinstance(value, int | float):
        return value
    try:
        return float(str(value).removesuffix("%")) / 100
    except ValueError:
        return SURGE
