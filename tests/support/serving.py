"""Real process trees on loopback: `paceline serve`, or its arbiter alone with the test in the agent's place."""

import asyncio
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil
from paceline.document.model import Values
from paceline.serve.rundir import Effective, RunDir

APPLICATIONS = Path(__file__).parent / "applications"
DEADLINE_SECONDS = 30.0
"""Long for a slow machine, and shorter than the 38 s after which a worker that does not end is killed."""


def eventually(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> Any:
    """The first true value of the condition; fails the test, naming `what`, if there is none in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return value


async def eventually_async(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """`eventually` for a condition that this event loop brings about."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass
class Served:
    """A process under test with its run folder, its ports, and what it wrote to stderr."""

    process: subprocess.Popen[bytes]
    run: RunDir
    port: int
    management_port: int
    log: Path
    _steps: int = field(default=0)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def stderr(self) -> str:
        return self.log.read_text()

    def ended(self) -> bool:
        return self.process.poll() is not None

    def get(self, path: str = "/", port: int | None = None) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def state(self) -> dict[str, Any]:
        """`/state`."""
        return dict(orjson.loads(self.get("/state", self.management_port)[1]))

    def management(self, path: str) -> int:
        """The status of a management endpoint; 0 if nobody listens."""
        try:
            return self.get(path, self.management_port)[0]
        except OSError:
            return 0

    def reports(self) -> list[dict[str, Any]]:
        """The reports of workers that live."""
        found = (_content(path) for path in self.run.reports.glob("[0-9]*.json"))
        reports = [orjson.loads(content) for content in found if content is not None]
        return [report for report in reports if psutil.pid_exists(report["pid"])]

    def ready_workers(self) -> list[int]:
        return [report["pid"] for report in self.reports() if report["ready"]]

    def speak(self, values: Values | None = None, *, workers: int | None = None, generation: int = 0) -> None:
        """What the agent would write."""
        self._steps += 1
        self.run.write_effective(Effective(generation, self._steps, values or Values()))
        if workers is not None:
            self.run.write_workers(workers)

    def scale(self, workers: int, seconds: float = DEADLINE_SECONDS) -> None:
        """Asks for a worker count and waits until exactly so many live, all ready."""
        self.run.write_workers(workers)
        eventually(lambda: self.count() == workers, f"{workers} workers", seconds)

    def count(self) -> int:
        """Workers that live, or -1 while one of them is starting or draining."""
        reports = self.reports()
        return len(reports) if all(report["ready"] for report in reports) else -1

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.pid).children(recursive=True)

    def child(self, module: str) -> psutil.Process:
        """The direct child that runs a module."""
        children = psutil.Process(self.pid).children()
        return next(child for child in children if module in child.cmdline())

    def stop(self, number: signal.Signals = signal.SIGTERM, seconds: float = DEADLINE_SECONDS) -> int:
        self.process.send_signal(number)
        return self.process.wait(seconds)


StartArbiter = Callable[..., Served]
StartPod = Callable[..., Served]


@contextmanager
def serving(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    application_folder: Path = APPLICATIONS,
    *,
    run_dir: bool = True,
    pass_fds: Sequence[int] = (),
) -> Iterator[Served]:
    """Runs a command of Paceline's on free ports; at the end no process of it is left, whatever the test did."""
    port, management_port = free_ports(2)
    run = RunDir(folder / "run")
    run.reports.mkdir(parents=True, exist_ok=True)
    defaults = {
        "PACELINE_BIND": f"127.0.0.1:{port}",
        "PACELINE_MANAGEMENT_BIND": f"127.0.0.1:{management_port}",
        **({"PACELINE_RUN_DIR": str(run.path)} if run_dir else {}),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PACELINE_", "OTEL_"))}
    log = folder / "stderr"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=application_folder,
            env={**inherited, **defaults, **environment},
            stderr=stderr,
            process_group=0,  # as a shell does: Ctrl-C can be sent to all that are in it
            pass_fds=pass_fds,
        )
    served = Served(process, run, port, management_port, log)
    try:
        yield served
    finally:
        _end(served)


@contextmanager
def pod(folder: Path, target: str = "plain:app", *options: str, **settings: object) -> Iterator[Served]:
    """`paceline serve`, ready; settings are PACELINE_* names in lower case."""
    environment = {f"PACELINE_{name.upper()}": str(value) for name, value in settings.items()}
    with serving(serve_command(target, *options), folder, environment) as served:
        eventually(lambda: served.ended() or served.management("/readyz") == 200, "the pod is ready")
        assert not served.ended(), served.stderr
        yield served


def arbiter_command(target: str) -> list[str]:
    return [sys.executable, "-P", "-m", "paceline.serve.arbiter", target]


def serve_command(target: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "paceline", "serve", target, *options]


def _content(report: Path) -> bytes | None:
    """None for one that the agent has removed since the folder was listed: its worker is gone."""
    with suppress(FileNotFoundError):
        return report.read_bytes()
    return None


def _end(served: Served) -> None:
    if not served.ended():
        served.process.terminate()
        try:
            served.process.wait(15)
        except subprocess.TimeoutExpired:
            served.process.kill()
            served.process.wait()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("PACELINE_RUN_DIR") == str(served.run.path):
                process.kill()


def still_running(processes: Iterable[psutil.Process]) -> list[psutil.Process]:
    """Those that have not ended. One that nobody has buried yet has: orphans wait for process 1 to do so."""
    return [process for process in processes if _runs(process)]


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
