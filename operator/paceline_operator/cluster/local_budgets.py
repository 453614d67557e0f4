"""ConnectionBudgets of a laptop: manifests in the folder of `cluster/local.py`, their ledgers in files beside them."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from paceline_operator.cluster.policy_folder import PolicyFolder
from paceline_operator.ports import (
    BudgetResource,
    Conflict,
    PlatformUnavailable,
    PolicyKey,
    PolicyResource,
    TargetRef,
)


class LocalBudgets:
    """Fulfils `ports.Budgets` over a folder, which one operator works on: nobody else writes between look and write."""

    def __init__(
        self, folder: PolicyFolder, *, references: Callable[[Mapping[str, Any], str], AbstractSet[PolicyKey]]
    ) -> None:
        """`references` gives the budgets that a policy's spec names; its second argument is the policy's namespace."""
        self._folder = folder
        self._references = references

    async def budgets(self) -> Sequence[BudgetResource]:
        """All budgets of the folder."""
        return tuple(self._folder.budgets().values())

    async def budget(self, key: PolicyKey) -> BudgetResource | None:
        """One budget, read anew; None where no file has it."""
        return self._folder.budgets().get(key)

    async def referring(self, key: PolicyKey) -> Sequence[PolicyResource]:
        """The policies whose pools name the budget, read anew."""
        policies = self._folder.policies().values()
        return [policy for policy in policies if key in self._references(policy.spec, policy.key.namespace)]

    async def most_replicas(self, namespace: str, target: TargetRef) -> int | None:
        """None: nothing here adds processes by itself."""
        return None

    async def write_budget(self, budget: BudgetResource, status: Mapping[str, Any]) -> None:
        """Replaces the file of the status if the budget is still the one read. Raises Conflict."""
        present = await self.budget(budget.key)
        if present is None or present.resource_version != budget.resource_version:
            raise Conflict(f"ConnectionBudget {budget.key} has changed")
        try:
            self._folder.write_budget_status(budget.key, status)
        except OSError as error:
            told = f"the ledger of ConnectionBudget {budget.key} could not be written: {error.strerror}"
            raise PlatformUnavailable(told) from error
