"""Keeps as many workers as the file `workers` asks for: gunicorn's arbiter with the count taken from outside.

It decides nothing about the count. No control socket; HUP asks for a reload, which the agent carries out by the count.
"""

import logging
import signal
import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final

from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer

from paceline import tune
from paceline.errors import PacelineError, UsageError
from paceline.serve.arbiter.gunicorn_app import Application, taken_slots
from paceline.serve.arbiter.held_signals import held_back
from paceline.serve.arbiter.listeners import Sockets, open_sockets
from paceline.serve.arbiter.loading import load_once
from paceline.serve.arbiter.preload import load_server
from paceline.serve.arbiter.reloading import Inheritance, Reloads, attempt, start_over
from paceline.serve.binds import parse_binds
from paceline.serve.rundir import RunDir, says_ready, stamp, take_calls
from paceline.settings import load_settings
from paceline.telemetry import logs

_POLL_SECONDS: Final = 0.05
_BOOT_RETRY_SECONDS: Final = 2.0

logger = logging.getLogger("paceline.serve")


class TunedArbiter(Arbiter):  # type: ignore[misc] # gunicorn has no types
    """One a pod. Its loop passes at least once a second, and at once when the file or a worker changes."""

    app: Application
    num_workers: int

    def __init__(self, app: Application, inherited: Inheritance | None = None) -> None:
        self._run = app.run_dir
        self._maximum = app.settings.serve.max_workers
        self._seen: tuple[int, int, int] | None = None
        self._inherited = inherited
        self._reloads = Reloads(app.run_dir, app.target, done=inherited.request if inherited is not None else 0)
        self.leaving: set[int] = set()
        self._spawn_after = 0.0
        self._stopping = False
        self.announced = inherited is not None and inherited.announced
        self._decision: tuple[int, str] | None = None
        self._untold: Callable[[], None] | None = None
        self._last_warning = ""
        super().__init__(app)

    def setup(self, app: Application) -> None:
        with logs.server_loggers_kept():
            super().setup(app)
        logs.configure("arbiter", app.settings)  # gunicorn has made its own loggers by now
        logging.getLogger("gunicorn.error").addFilter(_is_news)

    def start(self) -> None:
        super().start()
        self.systemd = True  # gunicorn's word for: the paths of sockets are not its to remove
        if self._inherited is not None:
            self.WORKERS.update(self._inherited.adopt())
            self.worker_age = self._inherited.age
            self.leaving.update(self._inherited.leaving)
            self._decided(self._inherited.request, self.WORKERS)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (*self.SIGNALS, signal.SIGCHLD))

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        """Returns early when the count asked for was written or the first worker is ready: a look each 50 ms."""
        deadline = monotonic() + timeout
        while True:
            if self._announce():
                return []  # the others may start
            signals: list[int] = super().wait_for_signals(timeout=_POLL_SECONDS)
            if not signals:  # a fresh interpreter would not know of them
                self._reload()
            if signals or stamp(self._run.workers) != self._seen or monotonic() >= deadline:
                return signals

    def _reload(self) -> None:
        if self._untold is not None and self._attempt("tell of a reload", self._untold):
            self._untold = None
        self._decision = self._decision or self._reloads.look()
        if self._decision is not None:
            with held_back((*self.SIGNALS, signal.SIGCHLD)):
                if self.SIG_QUEUE.empty():
                    decision, self._decision = self._decision, None
                    self._carry_out(*decision)

    def _carry_out(self, request: int, reason: str) -> None:
        if not reason and self.app.preloaded:
            logger.info("loading %s anew", self.app.target)
            reason = start_over(self, request)
        if reason:
            logger.error("reload refused, what runs stays: %s", reason)
            self._decided(request, None)
        else:
            logger.info("workers that start from now on load %s anew", self.app.target)
            self._decided(request, self.WORKERS)

    def _decided(self, request: int, former: Collection[int] | None) -> None:
        """Tells the agent, in the next pass again where that fails. `former` None: those of the former code stay so."""
        pids = None if former is None else tuple(former)

        def tell() -> None:
            self._run.write_reloaded(request, self._run.read_reloaded()[1] if pids is None else pids)

        self._untold = None if self._attempt("tell of a reload", tell) else tell

    def _attempt(self, what: str, write: Callable[[], None]) -> bool:
        """Writes to the run folder. Where that fails (it is full, or gone) gunicorn would end the pod."""
        try:
            write()
        except OSError as error:
            if str(error) != self._last_warning:
                logger.error("cannot %s: %s", what, error)
            self._last_warning = str(error)
            return False
        self._last_warning = ""
        return True

    def manage_workers(self) -> None:
        self._seen = stamp(self._run.workers)
        asked = None
        with suppress(OSError):  # no descriptors left: the next pass reads it
            asked = self._run.read_workers()
        wanted = self.num_workers if asked is None else max(0, min(asked, self._maximum + 1))
        if wanted != self.num_workers:
            logger.info("workers: %d to %d", self.num_workers, wanted)
            self.num_workers = wanted
        self.spawn_workers()
        for pid in self._surplus():
            self.kill_worker(pid, signal.SIGTERM)

    def spawn_workers(self) -> None:
        """One worker until one is ready, then the others: start-ups that migrate an empty database would race."""
        if self._has_served():
            super().spawn_workers()
        elif self.num_workers and not self.WORKERS:
            self.spawn_worker()

    def spawn_worker(self) -> None:
        """Not for a moment after one could not be started: without processes or descriptors gunicorn ends the pod."""
        if monotonic() < self._spawn_after:
            return
        try:
            with held_back(self.SIGNALS):  # the worker lets them through once it has handlers of its own
                super().spawn_worker()
        except OSError as error:
            logger.error("cannot start a worker: %s; trying again every %g s", error, _BOOT_RETRY_SECONDS)
            self._spawn_after = monotonic() + _BOOT_RETRY_SECONDS

    def kill_worker(self, pid: int, sig: int) -> None:
        """Tells a worker to leave only once: gunicorn would say it again on every pass while the worker drains."""
        if sig == signal.SIGTERM:
            if pid in self.leaving:
                return
            self.leaving.add(pid)
        super().kill_worker(pid, sig)

    def _surplus(self) -> list[int]:
        """Those that leave already, then those that do not serve yet, then the oldest: gunicorn would take the oldest
        whatever the others do, and leave a pod whose new workers cannot start without any."""
        count = len(self.WORKERS) - self.num_workers
        if count <= 0:
            return []

        def rank(pid: int) -> tuple[bool, bool, int]:
            return pid not in self.leaving, says_ready(self._run.report(pid)), self.WORKERS[pid].age

        return sorted(self.WORKERS, key=rank)[:count]

    def reap_workers(self) -> None:
        """Buries the dead. A worker that cannot start stops the pod only if none ever could: the others go on."""
        while True:
            try:
                super().reap_workers()
                break
            except HaltServer as halt:
                if self._stopping:
                    continue
                if not self._has_served():
                    raise
                logger.error("a new worker did not start (%s); trying again", halt.reason)
                self._spawn_after = monotonic() + _BOOT_RETRY_SECONDS
        self.leaving &= self.WORKERS.keys()
        self.app.shares.forget_all_but(taken_slots(self))

    def stop(self, graceful: bool = True) -> None:
        self._stopping = True
        self._reloads.end()
        self.app.sockets.remove_paths()
        # Mostly the supervisor has written it; if that was killed, workers must know that nobody comes after them.
        self._attempt("tell that the pod stops", self._run.terminating.touch)
        super().stop(graceful)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        """Stops the workers and ends the process.

        Raises:
            UsageError: no worker could load the application.
        """
        self.stop()
        if exit_status == self.APP_LOAD_ERROR:
            raise UsageError(self.app.load_failure())
        if exit_status:
            logger.error("no worker could start: %s", reason)
        sys.exit(1 if exit_status else 0)

    def handle_usr1(self) -> None:
        logs.reopen_files()
        self.kill_workers(signal.SIGUSR1)

    def handle_hup(self) -> None:
        self._attempt("ask for a reload", self._run.request_reload)

    def handle_ttin(self) -> None:
        logger.warning("signal refused: the worker count comes from the tuning document, new code with SIGHUP")

    handle_ttou = handle_usr2 = handle_ttin

    def _announce(self) -> bool:
        """True once: when the first worker is ready."""
        if self.announced or not self._has_served():
            return False
        self.announced = True
        addresses = ", ".join(map(str, parse_binds(self.app.settings.serve.bind, option="--bind")))
        logger.info("serving %s at %s", self.app.target, addresses)
        return True

    def _has_served(self) -> bool:
        """Whether any worker of this life was ready once."""
        if self.announced:
            return True
        with suppress(OSError):  # no descriptors left: the next pass looks again
            return any(map(says_ready, self._run.reports.glob("*.json")))
        return False


def _is_news(record: logging.LogRecord) -> bool:
    """Not what gunicorn says of a worker that could not load the application: the arbiter says why, and once."""
    return not record.getMessage().endswith(f"exited with code {Arbiter.APP_LOAD_ERROR}.")


def _serve(arguments: Sequence[str]) -> None:
    # Held back until here, and again not before the arbiter has handlers: workers hear when this process ends.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGQUIT))
    target = arguments[0]
    settings = load_settings()
    logs.configure("arbiter", settings)
    if settings.serve.run_dir is None:
        raise UsageError("PACELINE_RUN_DIR is not set; start the pod with `paceline serve`")
    run_dir = RunDir(settings.serve.run_dir)
    run_dir.hold()
    load_server()
    tune.tunables.serve(target, settings)
    inherited = Inheritance.from_environment()
    try:
        loaded = load_once(target, settings.serve, arguments)
    except UsageError as error:
        if inherited is None:
            raise
        logger.error("preload is off: %s", error)
        loaded = None
    sockets = Sockets(inherited.listeners, inherited.paths) if inherited else open_sockets(settings.serve)
    application = Application(target, settings, run_dir, loaded, sockets, take_calls())
    TunedArbiter(application, inherited).run()


def main(arguments: Sequence[str]) -> int:
    """Entry of `python -m paceline.serve.arbiter MODULE:APP [--no-preload]`; the supervisor starts it."""
    if "--trial" in arguments:
        attempt(arguments[0], int(arguments[-1]))
    try:
        _serve(arguments)
    except PacelineError as error:
        sys.stderr.write(f"paceline: error: {error}\n")
        return error.exit_status
    return 0
