"""What the pods of a target lack of the pod contract. Pure: JSON in, words out."""

from collections.abc import Mapping, Sequence
from typing import Any

from paceline_operator.contract.inspected import inspected
from paceline_operator.contract.subject import read_subject
from paceline_operator.errors import UsageError


def lacks_of(item: Mapping[str, Any], pods: Sequence[Mapping[str, Any]]) -> Mapping[str, str]:
    """By clause, what is needed and missing: of a pod that runs, with what was injected into it, else of the template.

    An Argo Rollout that takes its pods from a Deployment has no template of its own.
    """
    manifest = {"kind": "Pod", **pods[0]} if pods else item
    try:
        subject = read_subject(manifest, target=str(item["metadata"]["name"]))
    except UsageError:
        return {}
    found: dict[str, str] = {}
    for finding in inspected(subject).needed:
        found.setdefault(finding.clause, finding.message)
    return found
