"""A pass that fails, and fails again, does not go unsaid: the policy's Ready condition tells it."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.core.model.decision import Reason
from paceline_operator.loop.report import Reporter
from paceline_operator.loop.supervisor import Reconcile
from paceline_operator.ports import Conflict, Platform, PlatformRefused, PlatformUnavailable, PolicyKey

LASTING: Final = 3
"""Passes in a row in which the API server fails before that is told: it comes and goes by itself."""

logger = logging.getLogger(__name__)


class TellingReconciler:
    """Fulfils `supervisor.Reconcile` with another one. What a pass raises it still raises."""

    def __init__(self, reconciler: Reconcile, platform: Platform, *, now: Callable[[], datetime]) -> None:
        self._reconciler = reconciler
        self._platform = platform
        self._reporter = Reporter(platform)
        self._now = now
        self._failures: dict[PolicyKey, int] = {}

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        """The pass.

        Raises:
            Exception: whatever it raises; it is in the policy's status then, if that can be written.
        """
        try:
            wait = await self._reconciler.reconcile(key, woken, called=called)
        except PlatformRefused:
            raise  # said already, as far as it can be
        except PlatformUnavailable as error:
            self._failures[key] = self._failures.get(key, 0) + 1
            if self._failures[key] >= LASTING:
                await self._tell(key, Reason.PLATFORM_UNAVAILABLE, f"{error}; it is tried again, values stay")
            raise
        except Exception as error:
            message = f"a pass failed: {type(error).__name__}: {error}; values stay, the operator's log says more"
            await self._tell(key, Reason.RECONCILE_FAILED, message)
            raise
        self._failures.pop(key, None)
        return wait

    async def _tell(self, key: PolicyKey, reason: Reason, message: str) -> None:
        """Best effort: what fails may be what it would be told with."""
        try:
            resource = await self._platform.policy(key)
            if resource is not None and not resource.deleting:
                await self._reporter.not_ready(resource, reason, message, self._now())
        except (Conflict, PlatformUnavailable) as error:
            logger.warning("policy %s: %s cannot be told: %s", key, reason.value, error)
