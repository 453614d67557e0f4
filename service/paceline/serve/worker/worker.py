"""The worker process: composes application, measuring layers, reporter and server, and runs them until told to stop."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Final, Protocol

from gunicorn.arbiter import Arbiter
from uvicorn_worker import UvicornWorker

from paceline import lifeline, tune
from paceline.errors import UsageError
from paceline.middleware import instrument
from paceline.middleware.access_log import Write
from paceline.resources.admission.limiter import Admission
from paceline.resources.pools.threads import register_threads
from paceline.serve import deadlines
from paceline.serve.processes.client import PodPool
from paceline.serve.rundir import RunDir
from paceline.serve.worker.balance import Share
from paceline.serve.worker.configuration import concurrency_bounds, configure, inherited_positions
from paceline.serve.worker.left_behind import end_others
from paceline.serve.worker.once import PodJobs
from paceline.serve.worker.protocol import TunedProtocol
from paceline.serve.worker.reporter import TUNING, Measured, Reporter
from paceline.serve.worker.server import Stages, TunedServer
from paceline.serve.worker.supervised import KeepRunning, SupervisedTasks
from paceline.serve.worker.unfinished import Patience
from paceline.serve.worker.unregistered import Unregistered, known_addresses
from paceline.serve.worker.websocket import TunedWebSocket
from paceline.settings import ServeSettings, Settings
from paceline.telemetry import logs
from paceline.telemetry.access_lines import AccessLog, LineBuffer
from paceline.telemetry.framework_routes import name_routes
from paceline.telemetry.loop_lag import LoopLag
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing, log_fields

_HEARTBEAT_SECONDS: Final = 1.0

_NOT_FOR_WORKERS: Final = (signal.SIGHUP, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""Meant for servers; sent to all processes of a pod they would end or freeze a worker in the midst of requests."""

logger = logging.getLogger("paceline.serve")


class PodApplication(Protocol):
    """What a worker needs of gunicorn's application, which the arbiter makes."""

    settings: Settings
    run_dir: RunDir
    process_calls: socket.socket | None
    """The workers' end of the way to the pod's process pool."""

    def report_load_failure(self, error: UsageError) -> None:
        """Hands the arbiter the reason why the application cannot be loaded."""


class TunedWorker(UvicornWorker):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's handle on one worker; made in the arbiter, lives on in the forked child."""

    CONFIG_KWARGS: ClassVar = {
        "loop": "uvloop",
        "http": TunedProtocol,
        "ws": TunedWebSocket,
        "interface": "asgi3",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,  # ours go behind the measuring layers, which must see the true peer
        "callback_notify": None,  # the heartbeat is our own: it also beats while starting and draining
    }

    app: PodApplication
    share: Share
    """Given by the arbiter before the fork."""
    _lines: LineBuffer | None = None
    """Of the access log, where there is one."""
    _cleanup_seconds = deadlines.CLEANUP_SECONDS

    def __init__(self, *args: Any, **options: Any) -> None:
        with logs.server_loggers_kept():
            super().__init__(*args, **options)

    def init_process(self) -> None:
        lifeline.die_with_parent(self.ppid, signal.SIGTERM)
        super().init_process()

    def init_signals(self) -> None:
        super().init_signals()
        for number in _NOT_FOR_WORKERS:
            signal.signal(number, _refuse)
            signal.siginterrupt(number, False)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, Arbiter.SIGNALS)  # held back since before the fork

    def handle_usr1(self, sig: int, frame: object) -> None:
        """Reopens log files, the application's own included."""
        logs.reopen_files()

    def load_wsgi(self) -> None:
        try:
            super().load_wsgi()
            logs.settle()
        except UsageError as error:
            self.app.report_load_failure(error)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    async def _serve(self) -> None:
        try:
            await self._serve_until_told()
        finally:
            if left := await end_others(self._cleanup_seconds):
                logger.error(
                    "ignored that they were cancelled, or were started again, and are left behind: %s", ", ".join(left)
                )

    async def _serve_until_told(self) -> None:
        settings = self.app.settings
        loop_lag = LoopLag()
        tracing = Tracing.from_settings(settings, loop_lag)
        unregistered = Unregistered(tune.tunables, known_addresses(settings))
        admission = Admission(start=concurrency_bounds(settings.middleware))
        measured = Measured(tune.tunables, RequestStats(), loop_lag, tracing, unregistered.report, admission)
        tune.tunables.runs_jobs = True
        if (calls := self.app.process_calls) is not None:
            tune.tunables.process_executor = lambda pool: PodPool(self.app.run_dir, calls, pool)
        tasks = SupervisedTasks()
        reporter = Reporter(self.app.run_dir, os.getpid(), measured, degraded=tasks.degraded)
        logs.configure("worker", settings, generation=lambda: reporter.generation, trace_fields=log_fields)
        self.config.access_log = logs.access_log_wanted()  # a line a request costs half as much as the request
        server = self._server(reporter, measured, tasks.keep_running)
        server.follow_signals()
        asyncio.get_running_loop().add_signal_handler(signal.SIGQUIT, self._stop_at_once, server)
        async with tasks.beside({"heartbeat": self._beat}):
            async with tasks.beside(
                {
                    "settings of logging": self._settle_logs,
                    TUNING: reporter.follow,
                    "reports": reporter.keep_reporting,
                    "memory": reporter.measure_memory,
                    "loop lag": measured.loop_lag.run,
                    "unregistered connections": unregistered.run,
                }
            ):
                # Not `serve`: that raises the signal again after the end, and no exit handler would run.
                await server._serve(self.sockets)
            if self._lines is not None:
                self._lines.flush()
            reporter.write()
            await asyncio.to_thread(tracing.shutdown)

    def _stop_at_once(self, server: TunedServer) -> None:
        self._cleanup_seconds = deadlines.AT_ONCE_CLEANUP_SECONDS
        server.stop_now()

    def _server(self, reporter: Reporter, measured: Measured, keep_running: KeepRunning) -> TunedServer:
        self.config.app = instrument(
            self.wsgi,
            self.app.settings.middleware,
            requests=measured.requests,
            tracing=measured.tracing,
            generation=lambda: reporter.generation,
            admission=measured.admission,
            access_log=self._access_log(reporter),
        ).handle
        settings = self.app.settings.serve
        configure(self.config, self.app.settings)
        return TunedServer(
            self.config,
            self._stages(reporter, PodJobs(measured.tunables, self.app.run_dir, keep_running)),
            self.share,
            self.app.settings.http,
            patience=_patience(settings),
            outliving=inherited_positions(settings),
        )

    def _access_log(self, reporter: Reporter) -> Write | None:
        form = logs.access_log_form(self.app.settings)
        if form is None:
            return None
        self._lines = LineBuffer()
        return AccessLog(form, self._lines.add, generation=lambda: reporter.generation, trace_fields=log_fields).write

    def _stages(self, reporter: Reporter, jobs: PodJobs) -> Stages:
        def accepting() -> None:
            reporter.accepting()
            jobs.start()

        def draining() -> None:
            reporter.draining()
            jobs.cancel()

        return Stages(
            before_accepting=partial(self._settle, reporter),
            accepting=accepting,
            draining=draining,
            requests_done=jobs.ended,
            pod_stops=self._pod_stops,
        )

    async def _settle(self, reporter: Reporter, stopping: Callable[[], bool]) -> None:
        register_threads(tune.tunables)
        logs.settle()  # the application's startup may have configured its logging
        name_routes()  # and loaded a framework
        await reporter.settle(stopping)

    def _pod_stops(self) -> bool:
        return self.app.run_dir.terminating.exists() or os.getppid() != self.ppid

    async def _beat(self) -> None:
        while True:
            self.notify()
            await asyncio.sleep(min(_HEARTBEAT_SECONDS, self.timeout / 2 or _HEARTBEAT_SECONDS))

    async def _settle_logs(self) -> None:
        while True:
            logs.settle()
            await asyncio.sleep(_HEARTBEAT_SECONDS)


def _refuse(number: int, _: object) -> None:
    logger.warning("%s refused by a worker: send it to the pod's first process", signal.Signals(number).name)


def _patience(settings: ServeSettings) -> Patience:
    idle_seconds = deadlines.idle_drain_seconds(settings.keepalive_seconds)
    return Patience(
        idle_seconds=idle_seconds,
        busy_seconds=max(settings.graceful_timeout_seconds, idle_seconds),
        grace_seconds=settings.drain_grace_seconds,
        endless_types=frozenset(settings.endless_types.lower().replace(" ", "").split(",")) - {""},
    )
