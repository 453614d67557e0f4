"""`paceline-operator run` as a process of its own, against any API server."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")
COMMAND = Path(sys.executable).parent / "paceline-operator"
DEADLINE_SECONDS = 40.0
"""Long for a slow machine, and shorter than the interval after which a policy is looked at anyway."""


def until(condition: Callable[[], T], what: str) -> T:
    """Polls until the condition is true and returns its value; fails after `DEADLINE_SECONDS`."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {DEADLINE_SECONDS:g} s: {what}; last seen: {value!r}")
        time.sleep(0.05)
    return value


class OperatorUnderTest:
    """A context manager; at its end the process is gone."""

    def __init__(self, kubeconfig: Path, folder: Path, *namespaces: str, **settings: str) -> None:
        self._probe, metrics = _free_port(), _free_port()
        self._metrics = f"http://127.0.0.1:{metrics}/metrics"
        self._log = folder / f"operator-{self._probe}.log"
        options = [part for name in namespaces for part in ("--namespace", name)]
        self._command = [str(COMMAND), "run", *options]
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PACELINE_", "OTEL_"))},
            "KUBECONFIG": str(kubeconfig),
            "PACELINE_OPERATOR_PROBE_BIND": f"127.0.0.1:{self._probe}",
            "PACELINE_OPERATOR_METRICS_BIND": f"127.0.0.1:{metrics}",
            **settings,
        }

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        if error is not None:
            error.add_note(f"the operator's log ends with:\n{self.log[-6000:]}")

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def log_lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.splitlines()]

    @property
    def failed_requests(self) -> int:
        """Requests of kopf and of the loop that failed so far, as the log tells."""
        return self.log.count("Request attempt") + self.log.count("a pass over policy")

    def healthz(self) -> int:
        """Status of the probe; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._probe}/healthz", timeout=30) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait_until_healthy(self) -> None:
        until(lambda: self.healthz() == 200, "a healthy probe")

    def metrics(self) -> str:
        with urllib.request.urlopen(self._metrics, timeout=30) as response:
            return str(response.read().decode())

    def terminate(self) -> int:
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])
