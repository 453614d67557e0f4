"""`paceline-operator local`: the loop over a folder of policies. Everything is wired in `run_local`."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import aiohttp

from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.console.server import console_endpoint
from paceline_operator.figures import unheard
from paceline_operator.loop.journal import Journal
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.loop.supervisor import LoopSupervisor
from paceline_operator.loop.telling import TellingReconciler
from paceline_operator.ports import PolicyKey, PolicyResource
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.scraper import PodScraper
from paceline_operator.telemetry.tracing import OtlpTracer, make_tracer

LOOK_SECONDS: Final = 0.3
"""Between two looks at the folder: an edit is acted on within a second."""


async def run_local(folder: Path, settings: OperatorSettings, journal: Journal) -> None:
    """Runs until SIGTERM, SIGINT or cancellation.

    Raises:
        UsageError: the folder cannot be used.
    """
    platform = LocalPlatform(folder, now=_utc_now)
    tracer = make_tracer(settings.otlp_endpoint, instance="local")
    console = console_endpoint(settings.console_bind, now=_utc_now, jaeger_url=settings.console_jaeger_url)
    async with console as heard, aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        scraper = PodScraper(session, settings)
        reconciler = Reconciler(
            platform,
            scraper,
            now=_utc_now,
            settings=settings,
            tracer=tracer,
            journal=journal,
            figures=heard.tell if heard else unheard,
        )
        supervisor = LoopSupervisor(
            TellingReconciler(reconciler, platform, now=_utc_now),
            retry=timedelta(seconds=settings.retry_seconds),
            retry_max=timedelta(seconds=settings.retry_max_seconds),
            random=random.random,
            clock=time.monotonic,
        )
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, supervisor.stop)
        try:
            async with asyncio.TaskGroup() as tasks:
                watching = tasks.create_task(_watch(platform, supervisor, asyncio.sleep))
                await supervisor.run()
                watching.cancel()
            await reconciler.write_down()
        finally:
            if isinstance(tracer, OtlpTracer):
                tracer.shutdown()


async def _watch(
    platform: LocalPlatform, supervisor: LoopSupervisor, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Wakes the loops of policies that came or were edited, ends those of policies that went."""
    seen: Mapping[PolicyKey, object] = {}
    while True:
        found = {policy.key: _intent(policy) for policy in await platform.policies()}
        for key in seen.keys() - found.keys():
            supervisor.forget(key)
        for key, intent in found.items():
            if seen.get(key) != intent:
                supervisor.wake(key)
        if seen.keys() - found.keys():
            # A policy that stood back behind one that went has its turn now.
            for key in found:
                supervisor.wake(key)
        seen = found
        await sleep(LOOK_SECONDS)


def _intent(policy: PolicyResource) -> object:
    return policy.generation, dict(policy.annotations)


def _utc_now() -> datetime:
    """The clock of the process."""
    return datetime.now(UTC)
