"""`paceline-operator local`: the loop over a folder of policies and budgets. Everything is wired in `run_local`."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp

from paceline_operator.cluster.local import LocalPlatform
from paceline_operator.cluster.local_budgets import LocalBudgets
from paceline_operator.console.server import console_endpoint
from paceline_operator.crd.connectionbudget import references
from paceline_operator.figures import unheard
from paceline_operator.loop.budget import BudgetReconciler
from paceline_operator.loop.journal import Journal
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.loop.supervisor import LoopSupervisor, Reconcile
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
    budgets = LocalBudgets(platform.manifests, references=references)
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
            budgets=budgets,
            figures=heard.tell if heard else unheard,
        )
        policies = _supervisor(TellingReconciler(reconciler, platform, now=_utc_now), settings)
        dividing = BudgetReconciler(
            platform,
            budgets,
            scraper,
            now=_utc_now,
            settings=settings,
            wake=policies.wake_known,
            told=heard.tell_budget if heard else unheard,
        )
        divided = _supervisor(dividing, settings)
        try:
            await _until_stopped(_watch(platform, budgets, policies, divided, asyncio.sleep), policies, divided)
            await reconciler.write_down()
        finally:
            if isinstance(tracer, OtlpTracer):
                tracer.shutdown()


def _supervisor(reconciler: Reconcile, settings: OperatorSettings) -> LoopSupervisor:
    return LoopSupervisor(
        reconciler,
        retry=timedelta(seconds=settings.retry_seconds),
        retry_max=timedelta(seconds=settings.retry_max_seconds),
        random=random.random,
        clock=time.monotonic,
    )


async def _until_stopped(watch: Coroutine[Any, Any, None], policies: LoopSupervisor, budgets: LoopSupervisor) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, policies.stop)
    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch)
        tasks.create_task(budgets.run())
        await policies.run()
        watching.cancel()
        budgets.stop()


async def _watch(
    platform: LocalPlatform,
    budgets: LocalBudgets,
    policies: LoopSupervisor,
    divided: LoopSupervisor,
    sleep: Callable[[float], Awaitable[None]],
) -> None:
    """Wakes the loops of what came or was edited, ends those of what went."""
    policies_seen: Mapping[PolicyKey, object] = {}
    limits_seen: Mapping[PolicyKey, object] = {}
    while True:
        found = {policy.key: _intent(policy) for policy in await platform.policies()}
        limits = {budget.key: budget.generation for budget in await budgets.budgets()}
        # What stood back behind a policy that went, or drew from a budget that went, has to look again.
        went = policies_seen.keys() - found.keys() | limits_seen.keys() - limits.keys()
        _wake(policies, policies_seen, found, everyone=bool(went))
        _wake(divided, limits_seen, limits, everyone=found != policies_seen)
        policies_seen, limits_seen = found, limits
        await sleep(LOOK_SECONDS)


def _wake(
    loops: LoopSupervisor, seen: Mapping[PolicyKey, object], found: Mapping[PolicyKey, object], *, everyone: bool
) -> None:
    for key in seen.keys() - found.keys():
        loops.forget(key)
    for key, intent in found.items():
        if everyone or seen.get(key) != intent:
            loops.wake(key)


def _intent(policy: PolicyResource) -> object:
    return policy.generation, dict(policy.annotations)


def _utc_now() -> datetime:
    """The clock of the process."""
    return datetime.now(UTC)
