"""Which loops an event wakes. Knows the objects as they were last seen, so that the operator's own status writes, and
the many changes of a workload that mean nothing to it, wake nobody."""

from collections.abc import Mapping
from typing import Any, Final

from paceline_operator.cluster.objects import is_rolling_out
from paceline_operator.crd.v1alpha1 import GROUP, parse_target
from paceline_operator.ports import PolicyKey, TargetRef

_Seen = tuple[object, ...]
_OURS: Final = f"{GROUP}/"


class Watching:
    """Fed with every event of policies and of workloads; says which policies must look again."""

    def __init__(self) -> None:
        self._policies: dict[PolicyKey, _Seen] = {}
        self._targets: dict[PolicyKey, TargetRef | None] = {}
        self._workloads: dict[tuple[str, TargetRef], _Seen] = {}

    def policy_changed(self, key: PolicyKey, body: Mapping[str, Any]) -> bool:
        """Whether spec or switches differ from what was seen last; a status write differs in neither."""
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        switches = frozenset((name, value) for name, value in annotations.items() if name.startswith(_OURS))
        seen = (metadata["uid"], metadata["generation"], "deletionTimestamp" in metadata, switches)
        changed = self._policies.get(key) != seen
        self._policies[key] = seen
        self._targets[key] = parse_target(body.get("spec", {}))
        return changed

    def policy_deleted(self, key: PolicyKey) -> frozenset[PolicyKey]:
        """Forgets it. The other policies of its target look again: one of them may now have its turn."""
        self._policies.pop(key, None)
        target = self._targets.pop(key, None)
        return frozenset() if target is None else self._policies_of(key.namespace, target)

    def workload_changed(self, body: Mapping[str, Any], *, deleted: bool) -> frozenset[PolicyKey]:
        """The policies of this workload, if it came, went, was scaled, or its rollout began or ended."""
        namespace = body["metadata"]["namespace"]
        target = TargetRef(body["apiVersion"], body["kind"], body["metadata"]["name"])
        keys = self._policies_of(namespace, target)
        if deleted or not keys:
            self._workloads.pop((namespace, target), None)
            return keys
        seen = (body["metadata"]["uid"], is_rolling_out(body), body.get("spec", {}).get("replicas"))
        changed = self._workloads.get((namespace, target)) != seen
        self._workloads[(namespace, target)] = seen
        return keys if changed else frozenset()

    def _policies_of(self, namespace: str, target: TargetRef) -> frozenset[PolicyKey]:
        return frozenset(key for key, ref in self._targets.items() if ref == target and key.namespace == namespace)
