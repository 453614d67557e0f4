"""What a stored policy asks for, where the API server once filled in a default that has changed since.

Earlier versions of the CRD stored `objective.prefer: latency` in every policy that said nothing. What `kubectl apply`
was given is kept beside it, in an annotation: where that says nothing of `prefer`, nobody has asked for latency.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

import orjson

from paceline_operator.core.model.policy import Policy, Prefer

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def as_asked(policy: Policy, annotations: Mapping[str, str]) -> Policy:
    """The policy, with `prefer: cost` where `latency` was only the default of an earlier version."""
    objective = policy.objective
    if objective is None or objective.prefer is Prefer.COST or _stated(annotations.get(LAST_APPLIED)):
        return policy
    return replace(policy, objective=replace(objective, prefer=Prefer.COST))


def _stated(applied: str | None) -> bool:
    """True as well where it cannot be told: what is stored counts then."""
    if applied is None:
        return True
    try:
        document: Any = orjson.loads(applied)
        return "prefer" in document["spec"]["objective"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return True
