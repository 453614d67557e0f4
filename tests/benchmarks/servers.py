"""The servers that are compared, each a process tree on the same core, and what CPU time they use."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

APPLICATIONS: Final = Path(__file__).parent / "applications"
ASYNC: Final = "uvicorn_worker.UvicornWorker"
_START_SECONDS: Final = 60.0


@dataclass(frozen=True)
class Checkout:
    """A copy of this repository whose code is measured, with the interpreter that it is installed in."""

    python: str
    applications: Path


HERE: Final = Checkout(sys.executable, APPLICATIONS)


@dataclass(frozen=True)
class Server:
    """A server that answers on `port`."""

    port: int
    process: psutil.Process

    def cpu_seconds(self) -> float:
        """User and system time of all its processes so far."""
        return tree_cpu_seconds(self.process)


@dataclass(frozen=True)
class Cores:
    """Which core serves and which one loads; the same if there is only one."""

    serve: set[int]
    load: set[int]

    def foreign_seconds(self) -> float:
        """Time that both cores have worked so far for others than this process and all that it started."""
        times = psutil.cpu_times(percpu=True)
        busy = sum(sum(times[core]) - times[core].idle - times[core].iowait for core in self.serve | self.load)
        return busy - tree_cpu_seconds(psutil.Process())

    @classmethod
    def of_this_machine(cls) -> "Cores":
        mine = sorted(os.sched_getaffinity(0))
        return cls({mine[0]}, {mine[-1]})


@dataclass(frozen=True, eq=False)
class Stack:
    """What is started: a command line for the port it gets, and its environment."""

    name: str
    command: Callable[[int], list[str]]
    environment: Mapping[str, str] = field(default_factory=dict)

    @contextmanager
    def started(self, cores: Cores) -> Iterator[Server]:
        """On a free port, until the end of the block."""
        port = free_port()
        with running(self.command(port), port, self.environment, cores) as server:
            yield server


def tree_cpu_seconds(root: psutil.Process) -> float:
    """User and system time of a process and its descendants, also of those that ended and were waited for."""
    total = 0.0
    for process in (root, *root.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += sum(process.cpu_times()[:4])
    return total


def gunicorn(target: str, port: int, *options: str, worker: str = ASYNC, python: str = sys.executable) -> list[str]:
    """What one would run without Paceline: one worker, unless the options say otherwise."""
    fixed = ["-k", worker, "--no-control-socket", "--log-level", "warning", "-b", f"127.0.0.1:{port}"]
    return [python, "-m", "gunicorn", *fixed, *options, target]


def paceline(target: str, port: int, management_port: int, *options: str, python: str = sys.executable) -> list[str]:
    """`paceline serve`, as it comes."""
    addresses = ["--bind", f"127.0.0.1:{port}", "--management-bind", f"127.0.0.1:{management_port}"]
    return [python, "-m", "paceline", "serve", target, *addresses, *options]


def ours(target: str, environment: Mapping[str, str], *options: str) -> Stack:
    """An application under `paceline serve`."""
    return Stack("paceline serve", lambda port: paceline(target, port, free_port(), *options), environment)


def stock(name: str, target: str, environment: Mapping[str, str] | None = None, python: str = sys.executable) -> Stack:
    """An application under gunicorn and uvicorn-worker as they come."""
    return Stack(name, lambda port: gunicorn(target, port, python=python), environment or {})


@contextmanager
def running(
    command: list[str],
    port: int,
    environment: Mapping[str, str],
    cores: Cores,
    log: Path | None = None,
    folder: Path = APPLICATIONS,
) -> Iterator[Server]:
    """Runs a server until the end of the block. What it says goes to the `log`, if there is one.

    Raises:
        RuntimeError: it ended, or did not answer within a minute.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PACELINE_", "OTEL_"))}
    os.sched_setaffinity(0, cores.serve)  # inherited by all that it starts
    try:
        with log.open("wb") if log else nullcontext(None) as said:
            process = subprocess.Popen(command, cwd=folder, env={**inherited, **environment}, stdout=said, stderr=said)
    finally:
        os.sched_setaffinity(0, cores.load)
    try:
        _wait_for(port, process, command)
        yield Server(port, psutil.Process(process.pid))
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes], command: list[str]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
                connection.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                if connection.recv(12) == b"HTTP/1.1 200":
                    return
        except OSError:
            pass
        time.sleep(0.1)
    raise RuntimeError(f"does not serve: {' '.join(command)}")
