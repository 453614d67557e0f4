"""Loads the application anew when the file `reload` says so: tried first in a process of its own.

What cannot be loaded is refused, and what runs stays. Without preload every worker that starts from then on loads the
new code. With preload the arbiter replaces itself: the same process, sockets and workers, with a fresh interpreter.
"""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

import orjson
from gunicorn.workers.workertmp import WorkerTmp

from paceline import lifeline
from paceline.errors import UsageError
from paceline.serve.arbiter.listeners import Owned
from paceline.serve.arbiter.preload import load_application
from paceline.serve.rundir import RunDir, leave_calls

_ENVIRONMENT: Final = "PACELINE_ADOPTED"
_TRIAL_SECONDS: Final = 120.0


class Trial:
    """Loads MODULE:APP in a process of its own, without waiting for it."""

    def __init__(self, target: str) -> None:
        self._deadline = monotonic() + _TRIAL_SECONDS
        self._said = b""
        self._pipe, theirs = os.pipe()
        os.set_blocking(self._pipe, False)
        command = [sys.executable, "-P", "-m", "paceline.serve.arbiter", target, "--trial", str(theirs)]
        # Its counts belong to no worker.
        environment = {name: value for name, value in os.environ.items() if name != "PROMETHEUS_MULTIPROC_DIR"}
        self._process = subprocess.Popen(command, pass_fds=(theirs,), env=environment)  # noqa: S603 - our own module
        os.close(theirs)

    def end(self) -> None:
        """Kills the process."""
        with suppress(ProcessLookupError):
            os.kill(self._process.pid, signal.SIGKILL)

    def outcome(self) -> str | None:
        """None while it runs; then why the application cannot be loaded, empty if it can."""
        try:
            while piece := os.read(self._pipe, 4096):
                self._said += piece
        except BlockingIOError:
            if monotonic() < self._deadline:
                return None
            self._said = f"it was not loaded within {_TRIAL_SECONDS:g} s".encode()
            self._process.kill()
        os.close(self._pipe)
        self._process.returncode = 0  # gunicorn reaps every child
        said = self._said.decode(errors="replace").strip()
        return "" if said == "ok" else said or "the process that tried it ended without a word"


def attempt(target: str, descriptor: int) -> None:
    """In the trial's process: tells over the pipe how loading went."""
    lifeline.die_with_parent(os.getppid(), signal.SIGKILL)
    try:
        load_application(target)
        said = "ok"
    except UsageError as error:
        said = str(error)
    os.write(descriptor, said.encode())
    os._exit(0)  # without the application's exit handlers: nothing was served


class _Nobody:
    """Stands for a share that counts in another arbiter's memory."""

    slot = None


@dataclass(slots=True)
class Adopted:
    """gunicorn's handle on a worker that the arbiter's former self has started."""

    pid: int
    age: int
    tmp: Any
    aborted: bool = False
    booted: bool = True
    share: Any = _Nobody


@dataclass(frozen=True, slots=True)
class Inheritance:
    """What an arbiter leaves to the one that it becomes."""

    request: int
    listeners: tuple[int, ...]
    workers: tuple[tuple[int, int, int], ...]
    """Pid, age and heartbeat file of each."""
    age: int
    leaving: tuple[int, ...]
    announced: bool
    """Whether a worker was ready once."""
    paths: tuple[Owned, ...] = ()
    """Those of unix sockets, to be removed at the end."""

    @classmethod
    def from_environment(cls) -> Self | None:
        """None in a pod's first arbiter."""
        given = os.environ.get(_ENVIRONMENT)
        return cls(**orjson.loads(given)) if given else None

    def adopt(self) -> dict[int, Adopted]:
        """The handles; from now on no child inherits what this process did."""
        os.environ.pop(_ENVIRONMENT, None)
        return {pid: Adopted(pid, age, _heartbeat(descriptor)) for pid, age, descriptor in self.workers}


def _heartbeat(descriptor: int) -> WorkerTmp:
    os.set_inheritable(descriptor, False)
    made = WorkerTmp.__new__(WorkerTmp)  # its constructor makes a file
    made._tmp = os.fdopen(descriptor, "r+b", 0)
    return made


def start_over(arbiter: Any, request: int) -> str:
    """Becomes a fresh arbiter: the same process with the same children and listening sockets.

    Signals must be held back by the caller: a fresh interpreter would die of them, or not know of them.
    Returns only where that is not possible: why.
    """
    workers = tuple((pid, worker.age, worker.tmp.fileno()) for pid, worker in arbiter.WORKERS.items())
    listeners = tuple(listener.sock.fileno() for listener in arbiter.LISTENERS)
    left = Inheritance(
        request,
        listeners,
        workers,
        arbiter.worker_age,
        tuple(arbiter.leaving),
        arbiter.announced,
        arbiter.app.sockets.paths,
    )
    wire = {name: getattr(left, name) for name in Inheritance.__slots__}
    os.environ[_ENVIRONMENT] = orjson.dumps(wire).decode()
    for descriptor in (*listeners, *(heartbeat for _, _, heartbeat in workers)):
        os.set_inheritable(descriptor, True)
    if arbiter.app.process_calls is not None:
        leave_calls(arbiter.app.process_calls.fileno())
    command = [sys.executable, "-P", "-m", "paceline.serve.arbiter", arbiter.app.target]
    with suppress(OSError, ValueError, AttributeError):
        sys.stdout.flush()
    with suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    try:
        os.execv(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        del os.environ[_ENVIRONMENT]
        return f"{command[0]} cannot be started: {error.strerror}"


class Reloads:
    """Looks for requests, one after another."""

    def __init__(self, run: RunDir, target: str, *, done: int = 0) -> None:
        """`done`: the request that made this arbiter, which has not said so in the run folder yet."""
        self._run = run
        self._target = target
        self._done = max(done, run.read_reloaded()[0])
        self._request = 0
        self._trial: Trial | None = None

    def look(self) -> tuple[int, str] | None:
        """A request and why it cannot be met, empty if it can; None while there is none to decide."""
        if self._trial is None:
            return self._begin()
        outcome = self._trial.outcome()
        if outcome is None:
            return None
        self._trial, self._done = None, self._request
        return self._request, outcome

    def end(self) -> None:
        """The pod stops, and waits for nothing that has just begun."""
        if self._trial is not None:
            self._trial.end()

    def _begin(self) -> tuple[int, str] | None:
        try:
            asked = self._run.read_reload()
        except OSError:  # no descriptors left: the next look reads it
            return None
        if asked <= self._done:
            return None
        try:
            self._request, self._trial = asked, Trial(self._target)
        except OSError as error:
            self._done = asked
            return asked, f"no process can be started to try it: {error.strerror}"
        return None
