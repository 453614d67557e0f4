"""What gunicorn is given to run: our settings in its words, and the application."""

import gc
import math
import os
import socket
from pathlib import Path
from typing import Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.config import ForwardedAllowIPS

from paceline.asgi import ASGIApp
from paceline.errors import UsageError
from paceline.serve import deadlines
from paceline.serve.arbiter.listeners import Sockets
from paceline.serve.arbiter.preload import load_application
from paceline.serve.rundir import RunDir
from paceline.serve.worker.balance import Share, Shares
from paceline.serve.worker.worker import TunedWorker
from paceline.settings import ServeSettings, Settings

_MEMORY_FOLDER: Final = "/dev/shm"  # noqa: S108 - gunicorn makes its heartbeat files in it; on a disk they could block


class Application(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """What gunicorn runs: our settings in its words, and the application once it is loaded."""

    def __init__(
        self,
        target: str,
        settings: Settings,
        run_dir: RunDir,
        loaded: ASGIApp | None,
        sockets: Sockets,
        process_calls: int | None = None,
    ) -> None:
        """`process_calls`: the workers' end of the way to the pod's process pool; None where there is none."""
        self.target = target
        self.settings = settings
        self.run_dir = run_dir
        self._loaded = loaded
        self.sockets = sockets
        self.process_calls = None if process_calls is None else socket.socket(fileno=process_calls)
        # Twice the cap: workers that drain keep their slot until they are gone.
        self.shares = Shares(2 * settings.serve.max_workers)
        self._load_failures = os.pipe()
        os.set_blocking(self._load_failures[0], False)
        # gunicorn parses FORWARDED_ALLOW_IPS more narrowly than we do, fails without naming it, and has no use for it.
        ForwardedAllowIPS.default = ""
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_settings(self.settings.serve, self.run_dir.path).items():
            self.cfg.set(name, value)
        self.cfg.set("bind", [f"fd://{descriptor}" for descriptor in self.sockets.descriptors])
        self.cfg.set("when_ready", _freeze)
        self.cfg.set("pre_fork", _give_share)

    @property
    def preloaded(self) -> bool:
        """Whether workers get the application from the arbiter, already loaded."""
        return self._loaded is not None

    def load(self) -> ASGIApp:
        return self._loaded or load_application(self.target)

    def report_load_failure(self, error: UsageError) -> None:
        """In a worker: hands the arbiter the reason why the application cannot be loaded."""
        os.write(self._load_failures[1], f"{error}\n".encode())

    def load_failure(self) -> str:
        """In the arbiter: the first reason that a worker gave."""
        try:
            return os.read(self._load_failures[0], 4096).decode().partition("\n")[0]
        except BlockingIOError:
            return f"{self.target} cannot be loaded"


def gunicorn_settings(settings: ServeSettings, run_dir: Path) -> dict[str, Any]:
    """Our settings as gunicorn's. Its times are whole seconds: rounded up."""
    stop_seconds = deadlines.worker_stop_seconds(settings.keepalive_seconds, settings.graceful_timeout_seconds)
    return {
        "workers": settings.workers,
        "worker_class": TunedWorker,
        "worker_tmp_dir": _MEMORY_FOLDER if os.access(_MEMORY_FOLDER, os.W_OK) else str(run_dir),
        "preload_app": False,  # we load before gunicorn starts, where an error is one line
        "control_socket_disable": True,
        "keepalive": math.ceil(settings.keepalive_seconds),
        "graceful_timeout": math.ceil(stop_seconds),
        "timeout": math.ceil(settings.worker_timeout_seconds),
        "loglevel": "warning",
    }


def _freeze(_: Any) -> None:
    # Objects that live now are never collected in a worker: so the collector never touches, and copies, their pages.
    gc.collect()
    gc.freeze()


def _give_share(arbiter: Any, worker: TunedWorker) -> None:
    shares = arbiter.app.shares
    worker.share = Share(shares, shares.free_slot(taken_slots(arbiter)))


def taken_slots(arbiter: Any) -> set[int]:
    """The slots of all workers that live."""
    slots = {worker.share.slot for worker in arbiter.WORKERS.values()}
    return slots - {None}
