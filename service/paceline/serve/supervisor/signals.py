"""What each signal to `paceline serve` means. Pure: names and sentences, nothing is sent here."""

import signal
from enum import Enum
from typing import Final


class Meaning(Enum):
    """What the supervisor does on a signal."""

    CHILD = "look which child has ended"
    STOP = "stop in order; SIGINT twice: at once"
    STOP_AT_ONCE = "stop without waiting for requests"
    RELOAD = "load the application anew, worker by worker"
    REOPEN_LOGS = "tell every worker to reopen its log files"
    NOTHING = "nothing, and not worth a line"
    REFUSED = "nothing, and a line that says what to do instead"


_FAULTS: Final = frozenset(
    {signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGSEGV, signal.SIGSYS}
)
_LEFT_ALONE: Final = frozenset({signal.SIGKILL, signal.SIGSTOP, signal.SIGCONT, signal.SIGTSTP})
"""They pause this process and let it go on, as a shell expects; or nobody can catch them."""
_IGNORED_BY_PYTHON: Final = frozenset({signal.SIGPIPE, signal.SIGXFSZ})

TAKEN: Final = frozenset(signal.valid_signals()) - _FAULTS - _LEFT_ALONE - _IGNORED_BY_PYTHON
"""All that would otherwise end or freeze the pod without a word."""

IGNORED_AT_START: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""Meant for servers; sent to all processes of a pod they would end or freeze one that has no handlers yet."""

_MEANINGS: Final = {
    signal.SIGCHLD: Meaning.CHILD,
    signal.SIGTERM: Meaning.STOP,
    signal.SIGINT: Meaning.STOP,
    signal.SIGQUIT: Meaning.STOP_AT_ONCE,
    signal.SIGHUP: Meaning.RELOAD,
    signal.SIGUSR1: Meaning.REOPEN_LOGS,
    signal.SIGWINCH: Meaning.NOTHING,
    signal.SIGURG: Meaning.NOTHING,
}
_COUNT: Final = (
    "the worker count comes from the tuning document: set `workers` in the TuningPolicy; without a document it is"
    " --workers (PACELINE_WORKERS)"
)
_INSTEAD: Final = {
    signal.SIGUSR2: "no second server is started beside this one; SIGHUP loads the application anew",
    signal.SIGTTIN: _COUNT,
    signal.SIGTTOU: _COUNT,
}


def meaning(number: int) -> Meaning:
    """What to do on a signal of `TAKEN`."""
    return _MEANINGS.get(number, Meaning.REFUSED)  # type: ignore[call-overload, no-any-return] # signals are ints


def refusal(number: int) -> str:
    """The line for a signal that is refused."""
    instead = _INSTEAD.get(number, "it has no meaning here; SIGTERM stops the pod")  # type: ignore[call-overload]
    return f"{_name(number)} refused: {instead}"


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
