"""Which loops an event wakes, and which policies name a target. Knows the objects as they were last seen, so that the
operator's own status writes, and the many changes of a workload that mean nothing to it, wake nobody."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any, Final

from paceline_operator.cluster.objects import is_rolling_out
from paceline_operator.crd.connectionbudget import references
from paceline_operator.crd.v1alpha1 import GROUP, operator_class, parse_target
from paceline_operator.ports import PolicyKey, TargetRef

_Seen = tuple[object, ...]
_Target = tuple[str, tuple[str, str, str]]
"""Namespace, and what of it is named."""
_OURS: Final = f"{GROUP}/"


class Watching:
    """Fed with every event of policies and of workloads; says which policies must look again."""

    def __init__(self, operator_class: str = "") -> None:
        """`operator_class` is that of this operator; policies of others count only as rivals for a target."""
        self._class = operator_class
        self._others: set[PolicyKey] = set()
        self._policies: dict[PolicyKey, _Seen] = {}
        self._targets: dict[PolicyKey, _Target] = {}
        self._by_target: defaultdict[_Target, set[PolicyKey]] = defaultdict(set)
        self._workloads: dict[tuple[str, TargetRef], _Seen] = {}
        self._references: dict[PolicyKey, frozenset[PolicyKey]] = {}
        self._budgets: dict[PolicyKey, object] = {}

    def policy_seen(self, key: PolicyKey, body: Mapping[str, Any]) -> None:
        """Notes what the policy points at; wakes nobody."""
        self._forget_target(key)
        self._references[key] = references(body.get("spec", {}), key.namespace)
        if operator_class(body.get("spec", {})) == self._class:
            self._others.discard(key)
        else:
            self._others.add(key)
        target = parse_target(body.get("spec", {}))
        if target is not None:
            self._targets[key] = (key.namespace, target.identity)
            self._by_target[key.namespace, target.identity].add(key)

    def policy_changed(self, key: PolicyKey, body: Mapping[str, Any]) -> bool:
        """Whether spec or switches differ from what was seen last; a status write differs in neither."""
        metadata = body["metadata"]
        annotations = metadata.get("annotations") or {}
        switches = frozenset((name, value) for name, value in annotations.items() if name.startswith(_OURS))
        seen = (metadata["uid"], metadata["generation"], "deletionTimestamp" in metadata, switches)
        changed = self._policies.get(key) != seen
        self._policies[key] = seen
        self.policy_seen(key, body)
        return changed

    def policy_deleted(self, key: PolicyKey) -> frozenset[PolicyKey]:
        """Forgets it. The other policies of its target look again: one of them may now have its turn."""
        self._policies.pop(key, None)
        self._references.pop(key, None)
        self._others.discard(key)
        target = self._forget_target(key)
        return frozenset(self._by_target.get(target, ())) if target else frozenset()

    def workload_changed(self, body: Mapping[str, Any], *, deleted: bool) -> frozenset[PolicyKey]:
        """The policies of this workload, if it came, went, was scaled, or its rollout began or ended."""
        namespace = body["metadata"]["namespace"]
        target = TargetRef(body["apiVersion"], body["kind"], body["metadata"]["name"])
        keys = self.policies_of(namespace, target)
        if deleted or not keys:
            self._workloads.pop((namespace, target), None)
            return keys
        seen = (body["metadata"]["uid"], is_rolling_out(body), body.get("spec", {}).get("replicas"))
        changed = self._workloads.get((namespace, target)) != seen
        self._workloads[(namespace, target)] = seen
        return keys if changed else frozenset()

    def policies_of(self, namespace: str, target: TargetRef) -> frozenset[PolicyKey]:
        """The policies of the namespace that name the target."""
        return frozenset(self._by_target.get((namespace, target.identity), ()))

    def is_ours(self, key: PolicyKey) -> bool:
        """Whether this operator works on the policy, or would if it were there."""
        return key not in self._others

    def budgets_of(self, key: PolicyKey) -> frozenset[PolicyKey]:
        """The budgets that a policy's pools refer to."""
        return self._references.get(key, frozenset())

    def referring(self, budget: PolicyKey) -> frozenset[PolicyKey]:
        """The policies whose pools refer to the budget."""
        return frozenset(key for key, budgets in self._references.items() if budget in budgets)

    def budget_changed(self, key: PolicyKey, body: Mapping[str, Any]) -> bool:
        """Whether its spec differs from what was seen last."""
        seen = (body["metadata"]["uid"], body["metadata"]["generation"])
        changed = self._budgets.get(key) != seen
        self._budgets[key] = seen
        return changed

    def _forget_target(self, key: PolicyKey) -> _Target | None:
        target = self._targets.pop(key, None)
        if target is not None:
            self._by_target[target].discard(key)
            if not self._by_target[target]:
                del self._by_target[target]
        return target
