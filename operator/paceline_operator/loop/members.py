"""Who draws from a budget, and what each of them may open: the reading half of a pass over it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.budget.account import Member, Pool
from paceline_operator.core.budget.demand import Looked, tallies
from paceline_operator.core.budget.ledger import Count
from paceline_operator.core.budget.limit import ConnectionBudget
from paceline_operator.core.budget.worst_case import WorstCase
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Mode, TunableSpec
from paceline_operator.core.model.tunables import WORKERS, Values
from paceline_operator.crd.budget_status import GONE, Seat, Told, seats
from paceline_operator.crd.checkpoint import Checkpoint
from paceline_operator.crd.v1alpha1 import operator_class
from paceline_operator.errors import InvalidSpec
from paceline_operator.loop.confirm import pods_of
from paceline_operator.loop.footprint import budgets_of, count_of, pools_of
from paceline_operator.loop.gather import Gathered, gather, values_in_force
from paceline_operator.loop.understand import NotReady, understand
from paceline_operator.ports import (
    BudgetResource,
    Budgets,
    Platform,
    PolicyKey,
    PolicyResource,
    TargetNotFound,
    TargetRef,
    Telemetry,
)

LEAVING: Final = timedelta(minutes=10)
"""How long the pods of a workload that is gone count: as long as they may take to end."""


@dataclass(frozen=True, slots=True)
class Gathering:
    """All members as read."""

    members: tuple[Told, ...]
    problems: tuple[str, ...] = ()
    strangers: tuple[str, ...] = ()
    """What is wrong with members of another operator's class."""
    server_limit: int | None = None
    """The least that any pod has learnt of its server."""


class Members:
    """Reads them. Keeps only what pools were asked for, to tell how much, and since when a workload is gone."""

    def __init__(
        self, platform: Platform, budgets: Budgets, telemetry: Telemetry, *, now: Callable[[], datetime], most: Mode
    ) -> None:
        self._platform = platform
        self._budgets = budgets
        self._telemetry = telemetry
        self._now = now
        self._most = most
        self._looked: dict[tuple[str, str, str], Looked] = {}
        self._gone: dict[tuple[str, str], datetime] = {}

    async def of(self, resource: BudgetResource, budget: ConnectionBudget) -> Gathering:
        """Everybody who refers to the budget, and everybody in its ledger.

        Raises:
            PlatformUnavailable: from the platform.
        """
        name, remembered = str(resource.key), seats(resource.status)
        policies = {str(policy.key): policy for policy in await self._budgets.referring(resource.key)}
        told: list[Told] = []
        problems: list[str] = []
        strangers: list[str] = []
        limits: list[int] = []
        for policy in sorted({*policies, *remembered}):
            found = policies.get(policy) or await self._platform.policy(PolicyKey(*policy.split("/", 1)))
            if found is None or found.deleting:
                told += await self._left(name, remembered.get(policy), policy)
            elif not budget.allows(found.key.namespace):
                problems.append(
                    f"{policy} refers to it from a namespace that it is not for: add {found.key.namespace} to "
                    "allowedNamespaces, or remove budgetRef"
                )
                # What it was granted once, its pods may still use.
                told += [_unseen(policy, seat, problems[-1])] if (seat := remembered.get(policy)) else []
            else:
                strange = _of_another_class(found, resource)
                present = await self._present(name, found, remembered.get(policy), limits, ours=not strange)
                strangers += [strange] if present and strange else []
                told += present
        return Gathering(tuple(told), tuple(problems), tuple(strangers), min(limits, default=None))

    async def _present(
        self, budget: str, resource: PolicyResource, seat: Seat | None, limits: list[int], *, ours: bool
    ) -> list[Told]:
        policy = str(resource.key)
        try:
            parsed, target = await understand(self._platform, resource)
        except NotReady as why:
            # The older policy of the target is the one that is counted.
            return [] if why.reason is Reason.TARGET_CONFLICT else [_unseen(policy, seat, str(why))]
        if budget not in budgets_of(parsed):
            return []
        try:
            gathered = await gather(self._platform, self._telemetry, resource, parsed, target, Checkpoint())
        except TargetNotFound:
            return self._while_leaving(budget, policy, seat, target)
        except InvalidSpec as why:
            return [_unseen(policy, seat, str(why))]
        self._gone.pop((budget, policy), None)
        worst = await pods_of(self._budgets, gathered.workload, target, parsed.max_replicas)
        names = pools_of(parsed, budget)
        limits += (
            pool.server_limit
            for state in gathered.states.values()
            for name, pool in state.pools.items()
            if name in names and pool.server_limit is not None
        )
        mode = parsed.mode.capped(self._most)
        count = count_of(gathered, names, worst.pods)
        if seat is None and count.per_pod is None and not worst.pods:
            return []  # at zero: it opens nothing until somebody scales it
        member = Member(
            policy=policy,
            worst=worst,
            count=count,
            pools=tuple(self._pools(budget, gathered)),
            movable=ours and mode is Mode.AUTO and not gathered.switches.paused,
            unseen="" if count.per_pod is not None else _silent(gathered),
        )
        return [Told(member, str(mode), target, len(gathered.workload.pods))]

    def _pools(self, budget: str, gathered: Gathered) -> list[Pool]:
        values = values_in_force(gathered)
        specs = (spec for spec in gathered.policy.tunables.values() if spec.budget == budget)
        return [self._pool(budget, gathered, spec, values) for spec in specs if spec.tunable in values]

    def _pool(self, budget: str, gathered: Gathered, spec: TunableSpec, values: Values) -> Pool:
        name, workers = spec.tunable.name, int(values.get(WORKERS, 1))
        now, at = tallies(gathered.states, name), self._now().timestamp()
        key = budget, str(gathered.resource.key), name
        before = self._looked.get(key)
        looked = Looked(at, now) if before is None else before.again(at, now, workers * len(now))
        self._looked[key] = looked
        states = gathered.states.values()
        return Pool(
            name=name,
            workers=workers,
            limit=int(values[spec.tunable]),
            bounds=spec.bounds,
            weight=spec.weight,
            demand=looked.demand,
            used=sum(state.pools[name].open for state in states if name in state.pools),
        )

    async def _left(self, budget: str, seat: Seat | None, policy: str) -> list[Told]:
        """The policy was deleted; its pods keep their values and their connections."""
        if seat is None or seat.target is None:
            return []
        namespace = policy.split("/", 1)[0]
        try:
            workload = await self._platform.workload(namespace, seat.target)
        except TargetNotFound:
            return self._while_leaving(budget, policy, seat, seat.target)
        if not workload.pods and not workload.replicas:
            return []
        worst = await pods_of(self._budgets, workload, seat.target, None)
        member = Member(policy, worst, Count(worst.pods, None))
        return [Told(member, GONE, seat.target, len(workload.pods))]

    def _while_leaving(self, budget: str, policy: str, seat: Seat | None, target: TargetRef) -> list[Told]:
        since = self._gone.setdefault((budget, policy), self._now())
        if seat is None or self._now() - since >= LEAVING:
            return []
        return [Told(_unseen(policy, seat, "the workload is gone").member, GONE, target)]


def _of_another_class(policy: PolicyResource, budget: BudgetResource) -> str:
    """Empty where one operator works on both."""
    theirs, ours = operator_class(policy.spec), operator_class(budget.spec)
    if theirs == ours:
        return ""
    return (
        f"{policy.key} is of operatorClass {theirs!r}, this budget of {ours!r}: give both the same, so that one "
        "operator counts and moves its connections"
    )


def _unseen(policy: str, seat: Seat | None, why: str) -> Told:
    pods = seat.entry.pods if seat else 0
    worst = WorstCase(pods, 0, 0, "the last look")
    return Told(Member(policy, worst, Count(pods, None), unseen=why), "Unknown", seat.target if seat else None)


def _silent(gathered: Gathered) -> str:
    if not gathered.workload.pods:
        return "it has no pods yet that say what they start with"
    return (
        "no pod reports how many connections it opens: serve it with Paceline, or count its connections in reserved "
        "and remove budgetRef"
    )
