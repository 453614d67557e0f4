"""Files that nobody else on this machine may read: logs, passwords, settings that hold one."""

import os
import stat
from pathlib import Path
from typing import IO

from paceline.errors import UsageError

_OURS_ALONE = 0o600
_FOLDER_OURS_ALONE = 0o700


def open_private(path: Path) -> IO[bytes]:
    """Opens a file to be written from its start, for us alone (0600), whatever it was before."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, _OURS_ALONE)
    try:
        os.fchmod(descriptor, _OURS_ALONE)  # before anything is written: an older release's was open to all
        os.ftruncate(descriptor, 0)
    except OSError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "wb")


def private_folder(path: Path) -> Path:
    """Makes a folder for us alone (0700), or closes one that is there.

    Raises:
        UsageError: it belongs to somebody else.
    """
    path.mkdir(mode=_FOLDER_OURS_ALONE, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.geteuid():
        raise UsageError(f"the folder {path} belongs to another user; start elsewhere")
    if stat.S_IMODE(found.st_mode) != _FOLDER_OURS_ALONE:
        path.chmod(_FOLDER_OURS_ALONE)
    return path
