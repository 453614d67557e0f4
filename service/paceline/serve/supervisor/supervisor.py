"""The first process of a pod: starts agent and arbiter, and stops them in order when told to.

It stays small (standard library and paths only): no socket, no document. An agent that dies is started again and
resumes; without the arbiter, or an agent that keeps dying, the pod ends in order, and whoever runs it starts it again.
"""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Final

from paceline import lifeline
from paceline.serve import deadlines
from paceline.serve.rundir import RunDir, leave_calls, says_ready
from paceline.serve.supervisor import marker, pid_file
from paceline.serve.supervisor.restarts import Restarts
from paceline.serve.supervisor.service_manager import ServiceManager
from paceline.serve.supervisor.signals import IGNORED_AT_START, TAKEN, Meaning, meaning, refusal

_LOOK_SECONDS: Final = 0.1  # adopted workers send no signal to wait for while they drain
_USAGE_ERROR: Final = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run and how long each part may take to stop."""

    agent: tuple[str, ...]
    arbiter: tuple[str, ...]
    run: RunDir
    calls: tuple[int, int]
    """Both ends of the way from workers to the process pool: what the arbiter inherits, and what the agent does."""
    temporary: bool
    """The run folder was made for this run alone and goes with it."""
    termination_delay_seconds: float
    stop_seconds: float
    sockets: tuple[int, ...] = ()
    """Listening sockets that whoever started the pod has opened: for the arbiter alone."""
    pid_file: Path | None = None


class Supervisor:
    """Runs one plan. Signals must be blocked by the caller: they are waited for, never handled."""

    def __init__(self, plan: Plan, say: Callable[[str], None], manager: ServiceManager) -> None:
        self._plan = plan
        self._say = say
        self._manager = manager
        self._ended: dict[int, int] = {}
        self._orders: list[int] = []
        self._agent = self._arbiter = 0
        self._agent_began = 0.0
        self._restarts = Restarts()

    def run(self) -> int:
        """Serves until told to stop, or until the pod cannot go on; returns the exit status."""
        lifeline.adopt_orphans()
        self._start_agent()
        # It must let its workers finish.
        self._arbiter = self._start(self._plan.arbiter, self._plan.calls[0], signal.SIGTERM, self._plan.sockets)
        for descriptor in self._plan.sockets:
            os.close(descriptor)
        while self._goes_on():
            self._keep_agent()
        status = self._explain()
        self._manager.stopping()
        self._attempt("tell that the pod stops", self._plan.run.terminating.touch)
        if not (self._gone(self._arbiter) or self._at_once()):
            self._wait(
                lambda: self._gone(self._arbiter) or self._impatient(), seconds=self._plan.termination_delay_seconds
            )
        stopped = self._stop_serving()
        self._stop(self._agent, seconds=deadlines.AGENT_STOP_SECONDS)
        return status if stopped else status or 1

    def _start_agent(self) -> None:
        self._agent_began = monotonic()
        # It has nothing to lose: it resumes.
        self._agent = self._start(self._plan.agent, self._plan.calls[1], signal.SIGKILL)

    def _goes_on(self) -> bool:
        """Waits until something must be done; False if the pod is to end."""
        while self._manager.waits_for_ready and not self._wait(self._must_act, seconds=_LOOK_SECONDS):
            if self._serves():
                self._manager.ready()
        self._wait(self._must_act)
        if self._orders or self._gone(self._arbiter):
            return False
        # One that finds its own settings wrong finds them wrong again.
        useless = self._restarts == Restarts() and self._agent_status() == _USAGE_ERROR
        self._restarts = self._restarts.after(monotonic() - self._agent_began)
        return not (useless or self._restarts.hopeless)

    def _must_act(self) -> bool:
        return bool(self._orders) or self._gone(self._arbiter) or self._gone(self._agent)

    def _serves(self) -> bool:
        """Whether any worker is ready; no where that cannot be read at the moment."""
        with suppress(OSError):
            return any(map(says_ready, self._plan.run.reports.glob("*.json")))
        return False

    def _keep_agent(self) -> None:
        """Starts the agent again, after a pause if it did not last; unless the pod is to end meanwhile."""
        pause = self._restarts.pause_seconds
        self._say(f"the agent ended by itself ({_how(self._agent_status())}); starting it again in {pause:g} s")
        if not self._wait(lambda: bool(self._orders) or self._gone(self._arbiter), seconds=pause):
            self._start_agent()

    def _agent_status(self) -> int:
        return os.waitstatus_to_exitcode(self._ended[self._agent])

    def _start(
        self, command: tuple[str, ...], calls: int, death_signal: signal.Signals, sockets: Sequence[int] = ()
    ) -> int:
        """Starts a part in a process group of its own: Ctrl-C reaches the supervisor alone, which stops in order."""
        supervisor = os.getpid()
        if pid := os.fork():
            return pid
        try:
            os.setpgid(0, 0)
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for number in IGNORED_AT_START:
                signal.signal(number, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            lifeline.die_with_parent(supervisor, death_signal)
            leave_calls(calls)
            for descriptor in sockets:
                os.set_inheritable(descriptor, True)
            os.execv(command[0], command)  # noqa: S606 - no shell is wanted
        finally:
            os._exit(127)

    def _explain(self) -> int:
        """The exit status; a line on stderr unless the arbiter has said already that the application is unusable."""
        if self._gone(self._arbiter):
            return self._blame("arbiter", self._ended[self._arbiter])
        if self._gone(self._agent) and not self._orders:
            return self._blame("agent", self._ended[self._agent])
        return 0

    def _blame(self, part: str, wait_status: int) -> int:
        code = os.waitstatus_to_exitcode(wait_status)
        if part == "arbiter" and code == _USAGE_ERROR:
            return _USAGE_ERROR
        self._say(f"the {part} ended by itself ({_how(code)}); stopping the rest")
        return 1

    def _stop_serving(self) -> bool:
        """Stops the arbiter, then waits for workers that outlived it. True if all ended by themselves."""
        seconds = deadlines.AT_ONCE_STOP_SECONDS if self._at_once() else self._plan.stop_seconds
        stopped = self._stop(self._arbiter, seconds=seconds)
        self._wait(lambda: not self._orphans() or self._impatient(), seconds=seconds)
        left = self._orphans()
        for pid in left:
            _kill(pid, signal.SIGKILL)
        self._wait(lambda: not self._orphans(), seconds=deadlines.AGENT_STOP_SECONDS)
        return stopped and not left

    def _stop(self, pid: int, *, seconds: float) -> bool:
        """SIGTERM or SIGQUIT, and SIGKILL after a deadline or a second Ctrl-C. True if the first was enough."""
        if self._gone(pid):
            return True
        _kill(pid, signal.SIGQUIT if self._at_once() else signal.SIGTERM)
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
                self._take(signal.sigwaitinfo(TAKEN))
                continue
            left = deadline - monotonic()
            if left <= 0:
                return False
            self._take(signal.sigtimedwait(TAKEN, min(left, _LOOK_SECONDS)))
        return True

    def _take(self, arrived: signal.struct_siginfo | None) -> None:
        if arrived is not None:
            self._obey(arrived.si_signo)
        while (ended := _reap()) is not None:
            self._ended[ended[0]] = ended[1]

    def _obey(self, number: int) -> None:
        match meaning(number):
            case Meaning.STOP | Meaning.STOP_AT_ONCE:
                self._orders.append(number)
            case Meaning.RELOAD:
                self._attempt("ask for a reload", self._plan.run.request_reload)
            case Meaning.REOPEN_LOGS if not self._gone(self._arbiter):
                _kill(self._arbiter, signal.SIGUSR1)
            case Meaning.REFUSED:
                self._say(refusal(number))

    def _attempt(self, what: str, write: Callable[[], None]) -> None:
        """Writes to the run folder; where that fails (it is full, or gone) the pod goes on."""
        try:
            write()
        except OSError as error:
            self._say(f"cannot {what}: {error.strerror or error} ({self._plan.run.path})")

    def _gone(self, pid: int) -> bool:
        return pid in self._ended

    def _orphans(self) -> set[int]:
        return lifeline.children() - {self._agent, self._arbiter}

    def _impatient(self) -> bool:
        """A second Ctrl-C, or SIGQUIT while the pod stops in order: stop now."""
        return self._orders.count(signal.SIGINT) > 1 or signal.SIGQUIT in self._orders[1:]

    def _at_once(self) -> bool:
        """SIGQUIT: nothing is waited for but the processes themselves."""
        return self._orders[:1] == [signal.SIGQUIT]


def _how(exit_code: int) -> str:
    return f"killed by {signal.Signals(-exit_code).name}" if exit_code < 0 else f"exit status {exit_code}"


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
    parser.add_argument("--calls", type=int, nargs=2, required=True, metavar="DESCRIPTOR")
    parser.add_argument("--temporary", action="store_true")
    parser.add_argument("--termination-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--stop", type=float, required=True, metavar="SECONDS")
    parser.add_argument("--sockets", type=int, nargs="+", default=(), metavar="DESCRIPTOR")
    parser.add_argument("--pid-file", type=Path)
    options = parser.parse_args(arguments)
    for descriptor in (
        options.lock,
        *options.calls,
        *options.sockets,
    ):  # agent and arbiter have a hold of their own, and an end each
        os.set_inheritable(descriptor, False)
    # -P: a module of the application's folder must not replace one of the standard library here.
    python = (sys.executable, "-P", "-m")
    return Plan(
        agent=(*python, "paceline.serve.agent"),
        arbiter=(*python, "paceline.serve.arbiter", options.application),
        run=RunDir(options.run_dir),
        calls=(options.calls[0], options.calls[1]),
        temporary=options.temporary,
        termination_delay_seconds=options.termination_delay,
        stop_seconds=options.stop,
        sockets=tuple(options.sockets),
        pid_file=options.pid_file,
    )


def _say(message: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it any more, or its disk is full: no reason to end the pod
        sys.stderr.write(f"paceline: {message}\n")


def main(arguments: Sequence[str]) -> int:
    """Entry of `python -m paceline.serve.supervisor`; `paceline serve` starts it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, TAKEN)
    plan = _parse(arguments)
    status = Supervisor(plan, _say, ServiceManager.from_environment(os.environ, _say)).run()
    try:
        marker.release(plan.run, clean=status == 0, started=status != _USAGE_ERROR, temporary=plan.temporary)
    except OSError as error:
        _say(f"cannot give back the run folder: {error}")
    if plan.pid_file is not None:
        pid_file.remove(plan.pid_file)
    return status
