"""A policy and its budgets: how much room they leave it, and the reservation before a document that raises.

The order of reads and writes is what keeps the sum: the document is read before the budget, a raise is reserved with
the budget's resource version, and only then the document is replaced with the version that was read first.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from paceline_operator.core.budget.ledger import Entry, NoRoom, reserved, total
from paceline_operator.core.budget.limit import ConnectionBudget
from paceline_operator.core.model.decision import Decision, Reason
from paceline_operator.core.model.tunables import Values
from paceline_operator.core.situation.situation import Budget
from paceline_operator.crd.budget_status import Seat, ledger, seats, with_entry
from paceline_operator.crd.connectionbudget import parse_budget
from paceline_operator.errors import InvalidSpec
from paceline_operator.loop.confirm import confirm
from paceline_operator.loop.footprint import budgets_of, per_pod, pools_of, running_per_pod, stored_per_pod
from paceline_operator.loop.gather import Gathered
from paceline_operator.ports import BudgetResource, Budgets, Conflict, Platform, PolicyKey


@dataclass(frozen=True, slots=True)
class _Found:
    """One budget that the policy may draw from."""

    resource: BudgetResource
    budget: ConnectionBudget
    seat: Seat
    connections: int

    @property
    def uncounted(self) -> str:
        """A member of which nothing is known; empty where there is none."""
        known = ledger(self.resource.status)
        policies = (str(wire.get("policy")) for wire in self.resource.status.get("members") or ())
        return next((policy for policy in policies if policy not in known), "")

    @property
    def free(self) -> int:
        if self.uncounted:
            return 0
        return self.connections - total(ledger(self.resource.status).values())


class _Unusable(Exception):
    """Why a budget cannot be drawn from."""


async def with_rooms(budgets: Budgets | None, gathered: Gathered) -> Gathered:
    """With the room that each budget leaves the policy. Call it once the document has been read.

    Raises:
        PlatformUnavailable: from the platform.
    """
    rooms: dict[str, Budget] = {}
    missing: dict[str, str] = {}
    generation = 0
    for name in budgets_of(gathered.policy):
        try:
            found = await _find(budgets, name, gathered.resource.key)
        except _Unusable as why:
            missing[name] = str(why)
        else:
            # Its share, as far as nobody else holds it still.
            room = min(found.seat.share, found.seat.entry.total + max(0, found.free))
            rooms[name] = Budget(room, found.seat.entry.pods)
            stored = stored_per_pod(gathered, pools_of(gathered.policy, name))
            if stored is None or found.seat.entry.per_pod > stored:
                generation = max(generation, found.seat.entry.generation)
    return replace(gathered, budgets=rooms, missing=missing, reserved_generation=generation)


async def lacking_room(
    platform: Platform, budgets: Budgets | None, gathered: Gathered, values: Values, decision: Decision
) -> Decision | None:
    """Reserves what a decision takes of budgets; where that does not fit, the hold in its place."""
    try:
        await reserve(platform, budgets, gathered, decision.common(values), decision.overrides.values())
    except NoRoom as lacking:
        return Decision((), Reason.BUDGET_EXHAUSTED, f"{decision.message}; not written: {lacking}")
    return None


async def reserve(
    platform: Platform, budgets: Budgets | None, gathered: Gathered, values: Values, overrides: Iterable[Values]
) -> None:
    """Reserves what a document with these values would let pods open more than the stored one does.

    Raises:
        NoRoom: it does not fit, or there is no such budget; nothing must be written.
        Conflict: the budget has changed meanwhile; read anew and decide again.
        PlatformUnavailable: from the platform.
    """
    wanted_of = tuple(overrides)
    for name in budgets_of(gathered.policy):
        pools = pools_of(gathered.policy, name)
        wanted = per_pod(gathered.states.values(), pools, (values, *wanted_of))
        stored = stored_per_pod(gathered, pools)
        if wanted is None:
            raise NoRoom(f"no pod says how many connections it opens, which ConnectionBudget {name} has to count")
        if stored is None or wanted > stored:
            held = running_per_pod(gathered, pools) if stored is None else stored
            await _reserve(platform, budgets, name, gathered, wanted, held)


async def _reserve(
    platform: Platform, budgets: Budgets | None, name: str, gathered: Gathered, wanted: int, held: int | None
) -> None:
    key = str(gathered.resource.key)
    try:
        found = await _find(budgets, name, gathered.resource.key)
        if found.uncounted:
            raise _Unusable(f"{found.uncounted} has not been counted yet, the status of {name} says why")
        before = ledger(found.resource.status)
        entry = Entry(wanted, found.seat.entry.pods, gathered.next_generation)
        after = reserved(before, key, entry, found.connections)
        assert budgets is not None  # it was found there
        if after != before:
            await budgets.write_budget(found.resource, with_entry(found.resource.status, key, after[key]))
        if held is not None and wanted <= held:
            return  # it widens nothing
        # Read anew: nothing may have been written, and then others may have reserved meanwhile.
        found = await _find(budgets, name, gathered.resource.key)
    except _Unusable as why:
        if held is not None and wanted <= held:
            return
        raise NoRoom(f"{wanted} connections a pod: {why}") from why
    if found.seat.entry.per_pod < wanted or found.seat.entry.generation < gathered.next_generation:
        raise Conflict(f"what was reserved for {key} in ConnectionBudget {name} is gone")
    await confirm(platform, budgets, found.resource, found.budget, found.connections)


async def _find(budgets: Budgets | None, name: str, policy: PolicyKey) -> _Found:
    key = PolicyKey(*name.split("/", 1))
    resource = await budgets.budget(key) if budgets is not None else None
    if resource is None:
        raise _Unusable(f"there is no ConnectionBudget {name}: create it, or correct budgetRef")
    try:
        budget = parse_budget(resource.spec, key.namespace)
    except InvalidSpec as error:
        raise _Unusable(f"ConnectionBudget {name} is invalid: {error}") from error
    if not budget.allows(policy.namespace):
        way = "add it to the budget's allowedNamespaces"
        raise _Unusable(f"ConnectionBudget {name} is not for namespace {policy.namespace}: {way}")
    seat = seats(resource.status).get(str(policy))
    if seat is None:
        why = "its workload may have no pods so far, or the budget's status says why"
        raise _Unusable(f"ConnectionBudget {name} has not counted this policy yet: {why}")
    counted = resource.status.get("connections")
    most = budget.connections(resource.status.get("serverMaxConnections"))
    return _Found(resource, budget, seat, min(most, counted) if isinstance(counted, int) else most)
