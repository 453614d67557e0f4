"""ConnectionBudgets on a Kubernetes API server: what they say, who refers to them, how far autoscalers may go."""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final

from paceline_operator.cluster.api_server import ApiServer
from paceline_operator.cluster.patches import API_VERSION, BUDGET_KIND
from paceline_operator.cluster.refusals import Missing
from paceline_operator.ports import BudgetResource, Conflict, Platform, PolicyKey, PolicyResource, TargetRef

AUTOSCALERS: Final = "/apis/autoscaling/v2/namespaces/{}/horizontalpodautoscalers"
BUDGETS: Final = f"/apis/{API_VERSION}/namespaces/{{}}/connectionbudgets/{{}}"


class KubernetesBudgets:
    """Fulfils `ports.Budgets`."""

    def __init__(
        self, server: ApiServer, platform: Platform, *, referring: Callable[[PolicyKey], AbstractSet[PolicyKey]]
    ) -> None:
        """`referring` gives the policies whose pools name a budget, as the watch has seen them."""
        self._server = server
        self._platform = platform
        self._referring = referring

    async def budget(self, key: PolicyKey) -> BudgetResource | None:
        """One budget, read anew; None where there is none."""
        if not all(part.replace("-", "").replace(".", "").isalnum() for part in key):
            return None  # a policy's author wrote it, and it would be part of a path
        try:
            return read_budget(await self._server.get(BUDGETS.format(*key)))
        except Missing:
            return None

    async def referring(self, key: PolicyKey) -> list[PolicyResource]:
        """The policies whose pools name the budget, read anew."""
        found = await asyncio.gather(*(self._platform.policy(each) for each in sorted(self._referring(key))))
        return [policy for policy in found if policy is not None and not policy.deleting]

    async def most_replicas(self, namespace: str, target: TargetRef) -> int | None:
        """The most pods that an autoscaler may make of a workload; None where it has none."""
        found = await self._server.get(AUTOSCALERS.format(namespace))
        return max((each["spec"]["maxReplicas"] for each in found["items"] if _scales(each, target)), default=None)

    async def write_budget(self, budget: BudgetResource, status: Mapping[str, Any]) -> None:
        """Replaces the status if the budget is still the one read. Raises Conflict."""
        metadata = {
            "name": budget.key.name,
            "namespace": budget.key.namespace,
            "uid": budget.uid,
            "resourceVersion": budget.resource_version,
        }
        body = {
            "apiVersion": API_VERSION,
            "kind": BUDGET_KIND,
            "metadata": metadata,
            "spec": dict(budget.spec),
            "status": dict(status),
        }
        try:
            await self._server.replace(f"{BUDGETS.format(*budget.key)}/status", body)
        except Missing as error:
            raise Conflict(f"ConnectionBudget {budget.key} is gone") from error


def read_budget(item: Mapping[str, Any]) -> BudgetResource:
    """A ConnectionBudget as the API server shows it."""
    metadata = item["metadata"]
    return BudgetResource(
        key=PolicyKey(metadata["namespace"], metadata["name"]),
        uid=metadata["uid"],
        generation=metadata["generation"],
        resource_version=metadata["resourceVersion"],
        spec=item.get("spec", {}),
        status=item.get("status", {}),
    )


def _scales(autoscaler: Mapping[str, Any], target: TargetRef) -> bool:
    reference = autoscaler["spec"]["scaleTargetRef"]
    found = TargetRef(reference.get("apiVersion", ""), reference["kind"], reference["name"])
    return found.identity == target.identity
