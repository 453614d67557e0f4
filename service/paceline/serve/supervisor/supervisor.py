"""The first process of a pod: starts agent and arbiter, forwards the order to stop, leaves neither without the other.

It stays small (standard library and paths only) and decides nothing else: no socket, no document, no restart. A half
that dies takes the pod down in order; whoever runs the pod starts it again.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from paceline import lifeline
from paceline.serve import deadlines
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor import marker

_SIGNALS: Final = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
_LOOK_SECONDS: Final = 0.1  # adopted workers send no signal to wait for while they drain
_CANNOT_LOAD: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how long each part may take to stop."""

    agent: tuple[str, ...]
    arbiter: tuple[str, ...]
    run: RunDir
    temporary: bool
    """The run folder was made for this run alone and goes with it."""
    termination_delay_seconds: float
    stop_seconds: float


class Supervisor:
    """Runs one plan. Signals must be blocked by the caller: they are waited for, never handled."""

    def __init__(self, plan: Plan, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._say = say
        self._ended: dict[int, int] = {}
        self._orders: list[int] = []
        self._agent = self._arbiter = 0

    def run(self) -> int:
        """Serves until told to stop or until a part dies; returns the exit status."""
        lifeline.adopt_orphans()
        # A killed agent has nothing to lose; the arbiter must let its workers finish.
        self._agent = self._start(self._plan.agent, signal.SIGKILL)
        self._arbiter = self._start(self._plan.arbiter, signal.SIGTERM)
        self._wait(lambda: bool(self._orders) or self._gone(self._agent) or self._gone(self._arbiter))
        status = self._explain()
        self._plan.run.terminating.touch()
        if not self._gone(self._arbiter):
            self._wait(
                lambda: self._gone(self._arbiter) or self._impatient(), seconds=self._plan.termination_delay_seconds
            )
        stopped = self._stop_serving()
        self._stop(self._agent, seconds=deadlines.AGENT_STOP_SECONDS)
        return status if stopped else status or 1

    def _start(self, command: tuple[str, ...], death_signal: signal.Signals) -> int:
        """Starts a part in a process group of its own: Ctrl-C reaches the supervisor alone, which stops in order."""
        supervisor = os.getpid()
        if pid := os.fork():
            return pid
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            lifeline.die_with_parent(supervisor, death_signal)
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)

    def _explain(self) -> int:
        """The exit status; a line on stderr unless the arbiter has said already that the application is unusable."""
        if self._gone(self._arbiter):
            return self._blame("arbiter", self._ended[self._arbiter])
        if self._gone(self._agent):
            return self._blame("agent", self._ended[self._agent])
        return 0

    def _blame(self, part: str, wait_status: int) -> int:
        code = os.waitstatus_to_exitcode(wait_status)
        if part == "arbiter" and code == _CANNOT_LOAD:
            return _CANNOT_LOAD
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        self._say(f"the {part} ended by itself ({how}); stopping the rest")
        return 1

    def _stop_serving(self) -> bool:
        """Stops the arbiter, then waits for workers that outlived it. True if all ended by themselves."""
        stopped = self._stop(self._arbiter, seconds=self._plan.stop_seconds)
        self._wait(lambda: not self._orphans() or self._impatient(), seconds=self._plan.stop_seconds)
        left = self._orphans()
        for pid in left:
            _kill(pid, signal.SIGKILL)
        self._wait(lambda: not self._orphans(), seconds=deadlines.AGENT_STOP_SECONDS)
        return stopped and not left

    def _stop(self, pid: int, *, seconds: float) -> bool:
        """SIGTERM, and SIGKILL after a deadline or a second Ctrl-C. True if SIGTERM was enough."""
        if self._gone(pid):
            return True
        _kill(pid, signal.SIGTERM)
        self._wait(lambda: self._gone(pid) or self._impatient(), seconds=seconds)
        if self._gone(pid):
            return True
        self._say(f"process {pid} killed: " + ("told to" if self._impatient() else f"not stopped within {seconds:g} s"))
        _kill(pid, signal.SIGKILL)
        self._wait(lambda: self._gone(pid))
        return False

    def _wait(self, condition: Callable[[], bool], *, seconds: float | None = None) -> bool:
        """Takes in signals and deaths until the condition holds (True) or the time is up (False)."""
        deadline = None if seconds is None else monotonic() + seconds
        while not condition():
            if deadline is None:
                self._take(signal.sigwaitinfo(_SIGNALS))
                continue
            left = deadline - monotonic()
            if left <= 0:
                return False
            self._take(signal.sigtimedwait(_SIGNALS, min(left, _LOOK_SECONDS)))
        return True

    def _take(self, arrived: signal.struct_siginfo | None) -> None:
        if arrived is not None and arrived.si_signo != signal.SIGCHLD:
            self._orders.append(arrived.si_signo)
        while (ended := _reap()) is not None:
            self._ended[ended[0]] = ended[1]

    def _gone(self, pid: int) -> bool:
        return pid in self._ended

    def _orphans(self) -> set[int]:
        return lifeline.children() - {self._agent, self._arbiter}

    def _impatient(self) -> bool:
        """A second Ctrl-C: stop now."""
        return self._orders.count(signal.SIGINT) > 1


def _reap() -> tuple[int, int] | None:
    try:
        pid, status = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return None
    return (pid, status) if pid else None


def _kill(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _parse(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="paceline.serve.supervisor", description=__doc__)
    parser.add_argument("application", metavar="MODULE:APP")
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--lock", type=int, required=True, metavar="DESCRIPTOR")
    parser.add_argument("--temporary", action="store_true")
    parser.add_argument("--termination-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--stop", type=float, required=True, metavar="SECONDS")
    options = parser.parse_args(arguments)
    os.set_inheritable(options.lock, False)  # agent and arbiter have a hold of their own
    # -P: a module of the application's folder must not replace one of the standard library here.
    python = (sys.executable, "-P", "-m")
    return Plan(
        agent=(*python, "paceline.serve.agent"),
        arbiter=(*python, "paceline.serve.arbiter", options.application),
        run=RunDir(options.run_dir),
        temporary=options.temporary,
        termination_delay_seconds=options.termination_delay,
        stop_seconds=options.stop,
    )


def _say(message: str) -> None:
    sys.stderr.write(f"paceline: {message}\n")


def main(arguments: Sequence[str]) -> int:
    """Entry of `python -m paceline.serve.supervisor`; `paceline serve` starts it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    plan = _parse(arguments)
    status = Supervisor(plan, _say).run()
    marker.release(plan.run, clean=status == 0, started=status != _CANNOT_LOAD, temporary=plan.temporary)
    return status
