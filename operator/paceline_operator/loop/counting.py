"""Every pass that fails is counted, outermost: not even a failed look at who holds the namespace goes uncounted."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from paceline_operator.loop.supervisor import Reconcile
from paceline_operator.ports import PolicyKey


class CountingReconciler:
    """Fulfils `supervisor.Reconcile` with another one. `failed` is told the kind of each error."""

    def __init__(self, reconciler: Reconcile, failed: Callable[[str], None]) -> None:
        self._reconciler = reconciler
        self._failed = failed

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """The pass.

        Raises:
            Exception: whatever it raises, counted.
        """
        try:
            return await self._reconciler.reconcile(key, woken, called=called)
        except Exception as error:
            self._failed(type(error).__name__)
            raise
