"""What gunicorn is given to run: our settings in its words, and the application."""

import gc
import math
import os
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication

from paceline.errors import UsageError
from paceline.middleware import ASGIApp
from paceline.serve import deadlines
from paceline.serve.preload import load_application
from paceline.serve.rundir import RunDir
from paceline.serve.worker import TunedWorker
from paceline.settings import ServeSettings, Settings


class Application(BaseApplication):  # type: ignore[misc] # gunicorn has no types
    """What gunicorn runs: our settings in its words, and the application once it is loaded."""

    def __init__(self, target: str, settings: Settings, run_dir: RunDir, loaded: ASGIApp | None) -> None:
        self.target = target
        self.settings = settings
        self.run_dir = run_dir
        self._loaded = loaded
        self._complaints = os.pipe()
        os.set_blocking(self._complaints[0], False)
        super().__init__()

    def load_config(self) -> None:
        for name, value in gunicorn_settings(self.settings.serve, self.run_dir.path).items():
            self.cfg.set(name, value)
        self.cfg.set("when_ready", _freeze)

    def load(self) -> ASGIApp:
        return self._loaded or load_application(self.target)

    def complain(self, error: UsageError) -> None:
        """In a worker: hands the arbiter the reason why the application cannot be loaded."""
        os.write(self._complaints[1], f"{error}\n".encode())

    def complaint(self) -> str:
        """In the arbiter: the first reason that a worker gave."""
        try:
            return os.read(self._complaints[0], 4096).decode().partition("\n")[0]
        except BlockingIOError:
            return f"{self.target} cannot be loaded"


def gunicorn_settings(settings: ServeSettings, run_dir: Path) -> dict[str, Any]:
    """Our settings as gunicorn's. Its times are whole seconds: rounded up."""
    stop_seconds = deadlines.worker_stop_seconds(settings.keepalive_seconds, settings.graceful_timeout_seconds)
    return {
        "bind": settings.bind,
        "workers": settings.workers,
        "worker_class": TunedWorker,
        "worker_tmp_dir": str(run_dir),  # heartbeats on a disk could block
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
