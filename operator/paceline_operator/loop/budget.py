"""One pass over one ConnectionBudget: gather its members → account → write the ledger and what there is to say."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from paceline_operator.core.budget.account import account
from paceline_operator.core.model.decision import Reason
from paceline_operator.core.model.policy import Mode
from paceline_operator.crd.budget_status import BudgetReport, differs, ledger, render_budget, render_not_ready, seats
from paceline_operator.crd.connectionbudget import parse_budget
from paceline_operator.crd.v1alpha1 import operator_class
from paceline_operator.errors import InvalidSpec
from paceline_operator.loop.members import Members
from paceline_operator.ports import (
    BudgetResource,
    Budgets,
    Conflict,
    Platform,
    PlatformRefused,
    PolicyKey,
    Telemetry,
)
from paceline_operator.settings import OperatorSettings

AT_ONCE: Final = timedelta(milliseconds=100)
UNSETTLED: Final = timedelta(seconds=1)
"""Between two looks while somebody waits for connections that others give back; more while nothing moves."""
PATIENCE: Final = 10
"""How many looks there are in the time in which nothing has moved."""
CALM: Final = timedelta(seconds=15)
IDLE: Final = timedelta(seconds=60)
TOLD_ANEW: Final = timedelta(minutes=1)
"""Between two writes of nothing but the connections in use."""


class BudgetReconciler:
    """Fulfils `supervisor.Reconcile`, for budgets. Wired once per process."""

    def __init__(
        self,
        platform: Platform,
        budgets: Budgets,
        telemetry: Telemetry,
        *,
        now: Callable[[], datetime],
        settings: OperatorSettings,
        wake: Callable[[Collection[PolicyKey]], None],
        told: Callable[[PolicyKey, Mapping[str, Any] | None], None] = lambda key, status: None,
    ) -> None:
        """`wake` is called with the policies whose share has changed, `told` with the status of each pass, or with None
        for a budget that is gone or another operator's."""
        self._told = told
        self._budgets = budgets
        self._members = Members(platform, budgets, telemetry, now=now, most=Mode(settings.max_mode))
        self._class = settings.operator_class
        self._now = now
        self._wake = wake
        self._written: dict[PolicyKey, datetime] = {}
        self._still: dict[PolicyKey, datetime] = {}
        """Since when nothing has moved in a budget whose members wait or do not fit."""

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """One pass; returns when to come again.

        Raises:
            PlatformUnavailable: the platform did not respond; the ledger stays as it is.
        """
        resource = await self._budgets.budget(key)
        if resource is None or operator_class(resource.spec) != self._class:
            self._written.pop(key, None)
            self._still.pop(key, None)
            self._told(key, None)
            return IDLE
        try:
            return await self._pass(resource)
        except Conflict:
            return AT_ONCE
        except InvalidSpec as error:
            return await self._not_ready(resource, Reason.INVALID_SPEC, "; ".join(error.problems))
        except PlatformRefused as refusal:
            return await self._not_ready(resource, refusal.reason, str(refusal))

    async def _pass(self, resource: BudgetResource) -> timedelta:
        budget = parse_budget(resource.spec, resource.key.namespace)
        # The budget is read before its members: what is reserved meanwhile makes the write below a conflict.
        found = await self._members.of(resource, budget)
        members = tuple(told.member for told in found.members)
        result = account(budget.connections(found.server_limit), members, ledger(resource.status))
        report = BudgetReport(result, found.members, found.server_limit, found.problems, found.strangers)
        status = render_budget(resource.status, report, resource.generation, self._now())
        await self._write(resource, status)
        self._told(resource.key, status)
        moved = _changed(resource.status, status)
        self._wake(moved)
        if result.within and not result.waiting:
            self._still.pop(resource.key, None)
            return CALM
        since = self._still.setdefault(resource.key, self._now())
        if moved:
            since = self._still[resource.key] = self._now()
        return until_next_look(self._now() - since)

    async def _write(self, resource: BudgetResource, status: Mapping[str, Any]) -> None:
        last = self._written.get(resource.key)
        stale = last is None or self._now() - last >= TOLD_ANEW
        if differs(resource.status, status) or (stale and status != resource.status):
            await self._budgets.write_budget(resource, status)
            self._written[resource.key] = self._now()

    async def _not_ready(self, resource: BudgetResource, reason: Reason, message: str) -> timedelta:
        status = render_not_ready(resource.status, reason.value, message, resource.generation, self._now())
        self._told(resource.key, status)
        if differs(resource.status, status):
            try:
                await self._budgets.write_budget(resource, status)
            except Conflict:
                return AT_ONCE
        return IDLE


def until_next_look(still: timedelta) -> timedelta:
    """Worked example: 1 s at once, 6 s where nothing has moved for a minute, 15 s from two and a half minutes on."""
    return min(max(UNSETTLED, still / PATIENCE), CALM)


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> frozenset[PolicyKey]:
    """Policies whose room is another than it was: their own share, or what others have given back."""
    old, new = seats(before), seats(after)
    freed = after.get("connections") != before.get("connections") or after.get("worst") != before.get("worst")
    moved = {policy for policy, seat in new.items() if freed or policy not in old or old[policy].share != seat.share}
    return frozenset(PolicyKey(*policy.split("/", 1)) for policy in moved)
