"""Every signal that a process can be sent has a meaning, and none ends or freezes the pod without a word."""

import signal

import pytest
from paceline.serve.supervisor.signals import TAKEN, Meaning, meaning, refusal


@pytest.mark.parametrize(
    ("number", "what"),
    [
        (signal.SIGTERM, Meaning.STOP),
        (signal.SIGINT, Meaning.STOP),
        (signal.SIGQUIT, Meaning.STOP_AT_ONCE),
        (signal.SIGHUP, Meaning.RELOAD),
        (signal.SIGUSR1, Meaning.REOPEN_LOGS),
        (signal.SIGWINCH, Meaning.NOTHING),
        (signal.SIGUSR2, Meaning.REFUSED),
        (signal.SIGTTIN, Meaning.REFUSED),
        (signal.SIGTTOU, Meaning.REFUSED),
        (signal.SIGALRM, Meaning.REFUSED),
        (signal.SIGRTMIN, Meaning.REFUSED),
    ],
)
def test_meanings(number: int, what: Meaning) -> None:
    assert number in TAKEN
    assert meaning(number) is what


@pytest.mark.parametrize("number", sorted(TAKEN))
def test_a_refusal_is_one_line_that_names_the_signal_and_what_to_do(number: int) -> None:
    line = refusal(number)
    assert line.isprintable()
    assert line.startswith(("SIG", "signal "))


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGCONT, signal.SIGSEGV, signal.SIGPIPE])
def test_job_control_and_faults_are_left_alone(number: int) -> None:
    assert number not in TAKEN
