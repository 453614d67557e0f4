"""Passes only where no other operator works on the namespace's policies: two would judge each other's changes."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

from paceline_operator.figures import Figures, unheard
from paceline_operator.loop.supervisor import Reconcile
from paceline_operator.ports import Exclusion, Platform, PlatformRefused, PolicyKey

STANDBY: Final = timedelta(seconds=15)
"""Between two looks at whether the other operator has gone."""
OPERATOR_CONFLICT: Final = "OperatorConflict"

logger = logging.getLogger(__name__)


class ExclusiveBudgets:
    """Fulfils `supervisor.Reconcile` with that of budgets: whoever works on the policies of a namespace divides its
    budgets. The sum never rests on it: the ledger holds with two as well."""

    def __init__(
        self,
        reconciler: Reconcile,
        exclusion: Exclusion,
        *,
        told: Callable[[PolicyKey, Mapping[str, Any] | None], None],
    ) -> None:
        """`told` takes None of a budget that another operator divides: what was last said of it holds no more."""
        self._reconciler = reconciler
        self._exclusion = exclusion
        self._said = told

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """The pass, or nothing but a look at who holds the namespace. May raise PlatformUnavailable."""
        if await self._exclusion.other(key.namespace) is not None:
            self._said(key, None)
            return STANDBY
        return await self._reconciler.reconcile(key, woken, called=called)


class ExclusiveReconciler:
    """Fulfils `supervisor.Reconcile` with another one."""

    def __init__(
        self, reconciler: Reconcile, exclusion: Exclusion, platform: Platform, *, figures: Figures = unheard
    ) -> None:
        """`figures` takes None of a policy that another operator tunes: what was last said of it holds no more."""
        self._reconciler = reconciler
        self._figures = figures
        self._exclusion = exclusion
        self._platform = platform
        self._told: set[PolicyKey] = set()

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """The pass, or nothing but a look at who holds the namespace.

        Raises:
            PlatformUnavailable: from the pass, or who holds the namespace cannot be told.
        """
        try:
            other = await self._exclusion.other(key.namespace)
        except PlatformRefused as refusal:
            await self._tell(key, refusal.reason.value, str(refusal))
            raise
        if other is None:
            self._told.discard(key)
            return await self._reconciler.reconcile(key, woken, called=called)
        self._figures(key, None)
        await self._tell(
            key,
            OPERATOR_CONFLICT,
            f"operator {other} tunes the policies of namespace {key.namespace}; this one stands by and writes nothing: "
            "remove one of the two, or give each namespaces or an operator.class of its own",
        )
        return STANDBY

    async def _tell(self, key: PolicyKey, reason: str, message: str) -> None:
        """Once, in the log and as an Event: the status is the other operator's."""
        if key in self._told:
            return
        self._told.add(key)
        logger.warning("policy %s: %s", key, message)
        resource = await self._platform.policy(key)
        if resource is not None:
            await self._platform.record_event(resource, reason, message, warning=True)
