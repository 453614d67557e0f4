"""`paceline.dev/v1alpha1` TuningPolicy: spec → core values. The same parser serves cluster, folder and `check`.

The CRD's schema rejects most mistakes at apply; this parser rejects all of them, wherever a policy comes from.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from paceline_operator.core.model.policy import Behavior, Bounds, Mode, Objective, Policy
from paceline_operator.crd.problems import problems
from paceline_operator.crd.spec import BehaviorWire, ObjectiveWire, SpecWire, TargetWire
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import TargetRef

GROUP: Final = "paceline.dev"
VERSION: Final = "v1alpha1"
PLURAL: Final = "tuningpolicies"
KIND: Final = "TuningPolicy"
API_VERSION: Final = f"{GROUP}/{VERSION}"


def parse_policy(spec: Mapping[str, Any], namespace: str = "") -> Policy:
    """The spec of a TuningPolicy as the core understands it. `namespace` completes references without one.

    Raises:
        InvalidSpec: names every field that is wrong.
    """
    wire = _validated(spec)
    return Policy(
        tunables={tunable.tunable: tunable for tunable in wire.tunables(namespace)},
        objective=_objective(wire.objective),
        behavior=_behavior(wire.behavior),
        mode=Mode(wire.mode),
        max_replicas=wire.maxReplicas,
        admission=Bounds(wire.admission.min, wire.admission.max) if wire.admission else None,
    )


def parse_target(spec: Mapping[str, Any]) -> TargetRef | None:
    """What the spec points at; None where even that cannot be read. Never raises: a conflict is found all the same."""
    try:
        wire = TargetWire.model_validate(spec.get("targetRef"))
    except ValidationError:
        return None
    return TargetRef(wire.apiVersion, wire.kind, wire.name)


def operator_class(spec: Mapping[str, Any]) -> str:
    """Of a TuningPolicy or a ConnectionBudget: the class of the operator that works on it. Never raises."""
    return str(spec.get("operatorClass") or "")


def _validated(spec: Mapping[str, Any]) -> SpecWire:
    try:
        return SpecWire.model_validate(dict(spec))
    except ValidationError as error:
        raise InvalidSpec(list(problems(error, KIND))) from error


def _objective(wire: ObjectiveWire | None) -> Objective | None:
    if wire is None:
        return None
    target, routes = wire.target(), tuple(each.target(each.match) for each in wire.routes.objectives)
    excluded = frozenset(wire.routes.exclude)
    return Objective(target.limit, wire.errorRatio, wire.prefer, excluded, target.quantile, routes)


def _behavior(wire: BehaviorWire) -> Behavior:
    return Behavior(
        interval=wire.interval,
        min_samples=wire.minSamples,
        tolerance=wire.tolerance,
        cooldown=wire.interval if wire.cooldown is None else wire.cooldown,
        max_changes_per_hour=wire.maxChangesPerHour,
        stabilization_windows=wire.stabilizationWindows,
        canary_pods=wire.canary.pods if isinstance(wire.canary.pods, int) else 0,
        canary_share=wire.canary.pods if isinstance(wire.canary.pods, float) else None,
    )
