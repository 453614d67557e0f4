"""The operator process in a cluster: everything is wired in `operator_process`, once. Decides nothing."""

import asyncio
import contextlib
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import aiohttp
from kubernetes.aio.client import Configuration

from paceline_operator.cluster.api_server import ApiServer, credentials
from paceline_operator.cluster.budgets import KubernetesBudgets
from paceline_operator.cluster.kubernetes import KubernetesPlatform
from paceline_operator.cluster.leases import Holder, Leases
from paceline_operator.cluster.watches import start_watches
from paceline_operator.console.server import console_endpoint
from paceline_operator.loop.budget import BudgetReconciler
from paceline_operator.loop.counting import CountingReconciler
from paceline_operator.loop.exclusive import ExclusiveBudgets, ExclusiveReconciler
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.loop.supervisor import LoopSupervisor, Reconcile
from paceline_operator.loop.telling import TellingReconciler
from paceline_operator.ports import PolicyKey, Tracer
from paceline_operator.settings import OperatorSettings
from paceline_operator.telemetry.exposition import metrics_endpoint
from paceline_operator.telemetry.metrics import MeasuringTracer, Metrics
from paceline_operator.telemetry.scraper import PodScraper
from paceline_operator.telemetry.tracing import OtlpTracer, make_tracer
from paceline_operator.watching import Watching

Said = TypeVar("Said")
WATCHED: Final = ("tuningpolicies", "connectionbudgets", "deployments", "statefulsets")
LONGEST_LAST: Final = timedelta(seconds=5)
"""Of the 15 s that a pod of the operator is given to end."""
LONGEST_OVERDUE: Final = timedelta(minutes=5)
"""A pass has a deadline on everything it waits for; one that is this late hangs."""


class Unhealthy(Exception):
    """The process looks alive and is not; kubelet must start it again."""


class OperatorProcess:
    """What the handlers talk to."""

    def __init__(
        self,
        supervisor: LoopSupervisor,
        budgets: LoopSupervisor,
        watching: Watching,
        configuration: Configuration,
        namespaces: tuple[str, ...],
        at_last: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`at_last` is done once the loops have ended, for `LONGEST_LAST` at most."""
        self._supervisor = supervisor
        self._at_last = at_last
        self._budgets = budgets
        self._configuration = configuration
        self._watchers = len(WATCHED) * max(1, len(namespaces))
        self._watching = watching
        self._loops = asyncio.create_task(_run(supervisor, budgets), name="policy loops")
        self._stopping = False
        self._policies_known = False
        self.ended = asyncio.Event()
        """Set when the loops have ended, for whatever reason."""
        self._loops.add_done_callback(lambda _: self.ended.set())

    @property
    def failed(self) -> bool:
        """Whether the loops ended without being asked to."""
        return self._loops.done() and not self._stopping

    @property
    def overdue(self) -> timedelta:
        """How late the latest pass is, over a policy or a budget."""
        return max(self._supervisor.overdue, self._budgets.overdue)

    async def credentials(self) -> Mapping[str, Any]:
        """For kopf's own client: the same server and the same identity as ours."""
        return await credentials(self._configuration)

    def policy_seen(self, body: Mapping[str, Any]) -> None:
        """There is a policy; its event comes later."""
        self._watching.policy_seen(_key(body), body)

    def policy_event(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A policy came, changed or went."""
        self._policies_known = True  # kopf has indexed all of them before the first of these events
        key = _key(body)
        before = self._watching.budgets_of(key)
        if deleted:
            self._supervisor.forget(key)
            self._wake(self._watching.policy_deleted(key))
        elif not self._watching.policy_changed(key, body):
            return
        elif self._watching.is_ours(key):
            self._wake({key})
        else:
            self._supervisor.forget(key)
        for budget in before | self._watching.budgets_of(key):
            self._budgets.wake(budget)

    def budget_event(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A budget came, changed or went."""
        key = _key(body)
        if deleted:
            self._budgets.forget(key)
        elif not self._watching.budget_changed(key, body):
            return
        else:
            self._budgets.wake(key)
        self._wake(self._watching.referring(key))

    def workload_event(self, body: Mapping[str, Any], *, deleted: bool) -> None:
        """A workload came, changed or went; it may be somebody's target.

        While policies are still being read none is woken: it would not know its rivals, and its own event comes.
        """
        if self._policies_known:
            self._wake(self._watching.workload_changed(body, deleted=deleted))

    def _wake(self, keys: frozenset[PolicyKey] | set[PolicyKey]) -> None:
        for key in filter(self._watching.is_ours, keys):
            self._supervisor.wake(key)

    def check_health(self) -> Mapping[str, float]:
        """Whether every watch and the loops are alive. Raises Unhealthy: says which is not."""
        watchers = [task for task in asyncio.all_tasks() if task.get_name().startswith("watcher for ")]
        if len(watchers) < self._watchers:
            raise Unhealthy(f"{len(watchers)} of {self._watchers} watches are alive: {', '.join(WATCHED)}")
        if self._loops.done():
            raise Unhealthy("the loops of the policies have ended")
        overdue = self.overdue
        if overdue > LONGEST_OVERDUE:
            raise Unhealthy(f"a pass is {overdue} late")
        return {"policies": len(self._supervisor.keys), "overdueSeconds": overdue.total_seconds()}

    async def stop(self) -> None:
        """Ends the loops; what they wrote stays, and what they learnt since is written."""
        self._stopping = self._stopping or not self._loops.done()
        self._supervisor.stop()
        self._budgets.stop()
        await asyncio.wait([self._loops])
        at_last, self._at_last = self._at_last, None
        if at_last is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(at_last(), LONGEST_LAST.total_seconds())


@asynccontextmanager
async def operator_process(settings: OperatorSettings, configuration: Configuration) -> AsyncIterator[OperatorProcess]:
    """Wires the process. At the end all of it is closed, in reverse.

    Raises:
        UsageError: an address cannot be used.
    """
    instance = socket.gethostname()
    metrics, watching = Metrics(), Watching(settings.operator_class)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(metrics_endpoint(metrics.registry, settings.metrics_bind))
        heard = await stack.enter_async_context(
            console_endpoint(settings.console_bind, now=_utc_now, jaeger_url=settings.console_jaeger_url)
        )
        tracer = make_tracer(settings.otlp_endpoint, instance=instance)
        stack.callback(_last_spans, tracer)
        server = ApiServer(configuration, deadline_seconds=settings.api_timeout_seconds)
        stack.push_async_callback(server.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        platform = KubernetesPlatform(
            server,
            policies_of=watching.policies_of,
            nudging=settings.nudge,
            now=_utc_now,
            reporter=instance,
        )
        leases = Leases(server, Holder(instance, os.getpid()), operator_class=settings.operator_class, now=_utc_now)
        stack.push_async_callback(leases.release)
        stack.callback(asyncio.create_task(leases.keep(), name="leases").cancel)
        budgets = KubernetesBudgets(server, platform, referring=watching.referring)
        scraper = PodScraper(session, settings)
        figures = _both(metrics.of_policies.tell, None if heard is None else heard.tell)
        of_budgets = _both(metrics.of_policies.tell_budget, None if heard is None else heard.tell_budget)
        reconciler = Reconciler(
            platform,
            scraper,
            now=_utc_now,
            settings=settings,
            tracer=MeasuringTracer(tracer, metrics, clock=time.monotonic),
            budgets=budgets,
            figures=figures,
        )
        told = TellingReconciler(reconciler, platform, now=_utc_now)
        supervisor = _supervisor(ExclusiveReconciler(told, leases, platform, figures=figures), settings, metrics)
        dividing = BudgetReconciler(
            platform,
            budgets,
            scraper,
            now=_utc_now,
            settings=settings,
            wake=supervisor.wake_known,
            told=of_budgets,
        )
        budget_loops = _supervisor(ExclusiveBudgets(dividing, leases, told=of_budgets), settings, metrics)
        if isinstance(tracer, OtlpTracer):
            metrics.spans_dropped.set_function(lambda: tracer.dropped)
        metrics.policies.set_function(lambda: len(supervisor.keys))
        namespaces = settings.watched_namespaces
        process = OperatorProcess(
            supervisor, budget_loops, watching, configuration, namespaces, at_last=reconciler.write_down
        )
        metrics.overdue.set_function(lambda: process.overdue.total_seconds())
        stack.callback(start_watches(server, namespaces, process.workload_event))
        stack.push_async_callback(process.stop)
        yield process


def _supervisor(reconciler: Reconcile, settings: OperatorSettings, metrics: Metrics) -> LoopSupervisor:
    return LoopSupervisor(
        CountingReconciler(reconciler, metrics.failed),
        retry=timedelta(seconds=settings.retry_seconds),
        retry_max=timedelta(seconds=settings.retry_max_seconds),
        random=random.random,
        clock=time.monotonic,
    )


def _both(
    first: Callable[[PolicyKey, Said], None], second: Callable[[PolicyKey, Said], None] | None
) -> Callable[[PolicyKey, Said], None]:
    """Tells both, where there are two."""
    if second is None:
        return first

    def tell(key: PolicyKey, said: Said) -> None:
        first(key, said)
        second(key, said)

    return tell


async def _run(*supervisors: LoopSupervisor) -> None:
    """Until one of them ends."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(each.run()) for each in supervisors]
        await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for each in supervisors:
            each.stop()


def _key(body: Mapping[str, Any]) -> PolicyKey:
    return PolicyKey(body["metadata"]["namespace"], body["metadata"]["name"])


def _last_spans(tracer: Tracer) -> None:
    if isinstance(tracer, OtlpTracer):
        tracer.shutdown()


def _utc_now() -> datetime:
    """The clock of the process."""
    return datetime.now(UTC)
