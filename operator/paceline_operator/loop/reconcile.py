"""One pass over one policy: gather → decide → apply → report. Level-based: every pass reads the world anew."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from paceline_operator.ports import NoTracer, Platform, PolicyKey, Telemetry, Tracer
from paceline_operator.settings import OperatorSettings


class Reconciler:
    """Wired once per process; keeps nothing of a policy but where its measuring windows began."""

    def __init__(
        self,
        platform: Platform,
        telemetry: Telemetry,
        *,
        now: Callable[[], datetime],
        settings: OperatorSettings,
        tracer: Tracer | None = None,
    ) -> None:
        """`now` gives aware UTC time."""
        self._platform = platform
        self._telemetry = telemetry
        self._now = now
        self._settings = settings
        self._tracer = tracer or NoTracer()

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None) -> timedelta:
        """One pass; returns when to come again. A set `woken` ends the wait for acks.

        Raises:
            PlatformUnavailable: the platform did not answer; nothing was changed.
        """
        with self._tracer.span("reconcile", policy=str(key)):
            await self._platform.policy(key)
        return timedelta(seconds=self._settings.idle_seconds)

    def forget(self, key: PolicyKey) -> None:
        """Drops what is remembered of a policy's windows."""
