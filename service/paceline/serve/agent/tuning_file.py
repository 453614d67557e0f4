"""Reads the tuning document when it changes. It may appear, change and vanish; kubelet swaps it by a symlink.

Decides nothing about the content: that is for `document/adoption.py`. It never waits for what the path leads to: a pipe
without a writer, a terminal or an endless file is refused.
"""

import os
import stat
from pathlib import Path
from typing import Final

from paceline.errors import InvalidDocument
from paceline.serve.rundir import stamp

MAX_BYTES: Final = 1024 * 1024
"""The largest document; a ConfigMap holds no more."""
_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class TuningFile:
    """Polled by `stat`; `path` None means that there never is a document."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._tried: tuple[int, int, int] | None = None

    @property
    def absent(self) -> bool:
        """Whether there was no file at the last `read`."""
        return self._tried is None

    @property
    def changed(self) -> bool:
        """Whether it is another one than at the last `read`: one `stat`."""
        return self._path is not None and stamp(self._path) != self._tried

    def read(self) -> bytes | None:
        """The content if it changed since the last time; None if not, or if there is no file.

        Raises:
            InvalidDocument: something is there that cannot be read as a document; the next call tries again.
        """
        if self._path is None:
            return None
        # The stamp is older than the content at worst: then the next call reads again.
        fresh = self._tried = stamp(self._path)
        if fresh is not None and fresh == self._seen:
            return None
        self._seen = None
        try:
            content = _read(self._path)
        except FileNotFoundError:
            self._tried = None
            return None
        except OSError as error:
            raise InvalidDocument(f"tuning document: cannot be read: {os.strerror(error.errno or 0)}") from error
        self._seen = fresh
        return content


def _read(path: Path) -> bytes:
    """The whole file.

    Raises:
        InvalidDocument: it is no regular file, or too large.
    """
    _check(path.stat())  # before it is opened: opening a device can have effects of its own
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb") as file:
        _check(os.fstat(descriptor))
        content = file.read(MAX_BYTES + 1)
    if content is None:  # a file of the kernel's that has nothing to say yet
        raise InvalidDocument("tuning document: cannot be read without waiting; name a regular file")
    if len(content) > MAX_BYTES:
        raise _too_large()
    return content


def _check(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(status.st_mode)), "no regular file")
        raise InvalidDocument(f"tuning document: the path leads to {kind}; name a regular file")
    if status.st_size > MAX_BYTES:
        raise _too_large()


def _too_large() -> InvalidDocument:
    return InvalidDocument(f"tuning document: larger than {MAX_BYTES} bytes, the most that is read")
