"""Bodies of everything the operator writes to a cluster. Pure builders; who sends them is `cluster/kubernetes.py`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from paceline_operator.ports import Pod, PolicyResource, Workload

API_VERSION: Final = "paceline.dev/v1alpha1"
KIND: Final = "TuningPolicy"
BUDGET_KIND: Final = "ConnectionBudget"
CHECKPOINT_KIND: Final = "TuningCheckpoint"
DOCUMENT_KEY: Final = "tuning.json"
GENERATION_ANNOTATION: Final = "paceline.dev/tuning-generation"
MANAGED_BY: Final = {"app.kubernetes.io/managed-by": "paceline"}
_NOTE_BYTES: Final = 1024  # the API server refuses a longer note


def document_config_map(workload: Workload, content: bytes, resource_version: str | None) -> dict[str, Any]:
    """The ConfigMap `<target>-tuning`.

    The workload owns it, not the policy: pods keep their values when a policy goes, and nothing is left when the
    workload goes. `blockOwnerDeletion` stays off, it would need the right to change the workload's finalizers.
    """
    metadata: dict[str, Any] = {
        "name": workload.document_name,
        "namespace": workload.namespace,
        "labels": MANAGED_BY,
        "ownerReferences": [
            {
                "apiVersion": workload.api_version,
                "kind": workload.kind,
                "name": workload.name,
                "uid": workload.uid,
            }
        ],
    }
    if resource_version is not None:
        metadata["resourceVersion"] = resource_version
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {DOCUMENT_KEY: content.decode()},
    }


def checkpoint_object(
    policy: PolicyResource, content: Mapping[str, Any], resource_version: str | None
) -> dict[str, Any]:
    """The TuningCheckpoint of the policy's name. It goes with the policy, which owns it."""
    metadata: dict[str, Any] = {
        "name": policy.key.name,
        "namespace": policy.key.namespace,
        "labels": MANAGED_BY,
        "ownerReferences": [
            {"apiVersion": API_VERSION, "kind": KIND, "name": policy.key.name, "uid": policy.uid, "controller": True}
        ],
    }
    if resource_version is not None:
        metadata["resourceVersion"] = resource_version
    return {"apiVersion": API_VERSION, "kind": CHECKPOINT_KIND, "metadata": metadata, **content}


def nudge_patch(pod: Pod, generation: int) -> dict[str, Any]:
    """An annotation that makes kubelet look at the pod. The uid keeps it from a new pod of the same name."""
    return {"metadata": {"uid": pod.uid, "annotations": {GENERATION_ANNOTATION: str(generation)}}}


def status_update(policy: PolicyResource, status: Mapping[str, Any]) -> dict[str, Any]:
    """The body for the status subresource: the API server takes only `status` from it, and compares the version."""
    return {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {
            "name": policy.key.name,
            "namespace": policy.key.namespace,
            "uid": policy.uid,
            "resourceVersion": policy.resource_version,
        },
        "spec": dict(policy.spec),
        "status": dict(status),
    }


def event(
    policy: PolicyResource, reason: str, message: str, *, warning: bool, now: datetime, reporter: str
) -> dict[str, Any]:
    """An events.k8s.io/v1 Event about the policy; a long message is cut."""
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": f"{policy.key.name}-", "namespace": policy.key.namespace},
        "eventTime": now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "paceline.dev/operator",
        "reportingInstance": reporter,
        "action": "Tune",
        "reason": reason,
        "type": "Warning" if warning else "Normal",
        "note": _cut(message),
        "regarding": {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "namespace": policy.key.namespace,
            "name": policy.key.name,
            "uid": policy.uid,
        },
    }


def _cut(message: str) -> str:
    encoded = message.encode()
    if len(encoded) <= _NOTE_BYTES:
        return message
    return encoded[: _NOTE_BYTES - 3].decode(errors="ignore") + "…"
