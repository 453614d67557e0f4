"""The file that names the pod's first process, for tools that send it signals."""

import os
from contextlib import suppress
from pathlib import Path

from paceline.errors import UsageError


def write(path: Path) -> None:
    """Raises UsageError: it cannot be written, or names another process that lives."""
    other = _pid_in(path)
    if other is not None and other != os.getpid() and _lives(other):
        raise UsageError(f"{path} (--pid) names process {other}, which is running; stop it or choose another file")
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise UsageError(f"cannot write {path} (--pid): {(error.strerror or str(error)).lower()}") from error


def remove(path: Path) -> None:
    """Unless another process has written its own by now."""
    if _pid_in(path) == os.getpid():
        with suppress(OSError):
            path.unlink()


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
