"""A last look at everybody who draws from a budget, between a reservation and the document that uses it.

The ledger was counted a while ago. A policy that joined since, or an autoscaler that was allowed more pods, may have
found room that a reservation took without knowing of them. Once the reservation stands in the budget's status, whoever
comes later is counted beside it; so whatever came earlier is looked for here.
"""

from collections.abc import Mapping

from paceline_operator.core.budget.ledger import NoRoom
from paceline_operator.core.budget.limit import ConnectionBudget
from paceline_operator.core.budget.worst_case import WorstCase, worst_case
from paceline_operator.crd.budget_status import Seat, seats
from paceline_operator.crd.v1alpha1 import parse_policy, parse_target
from paceline_operator.errors import InvalidSpec
from paceline_operator.ports import (
    BudgetResource,
    Budgets,
    Platform,
    PolicyResource,
    TargetNotFound,
    TargetRef,
    Workload,
)


async def pods_of(budgets: Budgets, workload: Workload, target: TargetRef, most: int | None) -> WorstCase:
    """The most pods that a workload may have; `most` is the policy's word."""
    autoscaler = await budgets.most_replicas(workload.namespace, target)
    return worst_case(workload.shape, autoscaler=autoscaler, policy=most, seen=len(workload.pods))


async def confirm(
    platform: Platform, budgets: Budgets, resource: BudgetResource, budget: ConnectionBudget, connections: int
) -> None:
    """Whether the ledger, as just written, fits with all members and pods that there may be by now.

    Raises:
        NoRoom: it does not, or somebody is not counted yet; what was reserved must not be used.
        PlatformUnavailable: from the platform.
    """
    counted = seats(resource.status)
    policies = {str(each.key): each for each in await budgets.referring(resource.key)}
    needed = 0
    for policy in sorted({*policies, *counted}):
        found, seat = policies.get(policy), counted.get(policy)
        if seat is not None:
            worst = await _worst(platform, budgets, policy, found, seat.target)
            needed += seat.entry.per_pod * max(worst.pods if worst else 0, seat.entry.pods)
        elif found is not None and budget.allows(found.key.namespace) and not _rival(found, counted):
            worst = await _worst(platform, budgets, policy, found, None)
            if worst is not None and worst.pods:
                raise NoRoom(f"{policy} has not been counted yet")
    if needed > connections:
        raise NoRoom(f"by now, {needed} of {connections} connections may be needed")


async def _worst(
    platform: Platform, budgets: Budgets, policy: str, resource: PolicyResource | None, target: TargetRef | None
) -> WorstCase | None:
    """The most pods that there may be by now; None where the workload is not there."""
    namespace, most = policy.split("/", 1)[0], None
    if resource is not None:
        try:
            most = parse_policy(resource.spec, namespace).max_replicas
        except InvalidSpec as error:
            raise NoRoom(f"{policy} is invalid, and cannot be counted: {error}") from error
        target = parse_target(resource.spec)
    if target is None:
        return None
    try:
        workload = await platform.workload(namespace, target)
    except TargetNotFound:
        return None
    return await pods_of(budgets, workload, target, most)


def _rival(resource: PolicyResource, counted: Mapping[str, Seat]) -> bool:
    """Whether an older policy of the same target is counted in its place."""
    target = parse_target(resource.spec)
    return any(
        seat.target is not None
        and target is not None
        and seat.target.identity == target.identity
        and seat.policy.split("/", 1)[0] == resource.key.namespace
        for seat in counted.values()
    )
