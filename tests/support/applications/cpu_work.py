"""Functions for a process pool: importable by its children, each leaves a witness or fails in a way of its own."""

import os
import signal
import time
from pathlib import Path
from typing import NoReturn


class Unportable(Exception):
    """Cannot be read back from its pickle: its constructor wants two arguments and keeps one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(what)


def pid() -> int:
    return os.getpid()


def add(one: int, other: int = 0) -> int:
    return one + other


def fail(message: str) -> NoReturn:
    raise ValueError(message)


def fail_unportably() -> NoReturn:
    raise Unportable("broken", "for a reason")


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def leave() -> NoReturn:
    os._exit(7)


def wait_for(folder: str, name: str) -> int:
    """Says that it runs by a file `running.PID`, until the file `name` exists."""
    witness = Path(folder, f"running.{os.getpid()}")
    witness.touch()
    while not Path(folder, name).exists():
        time.sleep(0.005)
    witness.unlink()
    return os.getpid()


def spin(folder: str) -> None:
    """Burns a core for ever, after it said so."""
    Path(folder, f"spinning.{os.getpid()}").touch()
    while True:
        pass
