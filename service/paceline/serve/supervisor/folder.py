"""Chooses the run folder and claims it: nobody else may write to it, nobody else uses it, nothing foreign is in it.

What a killed pod left behind in memory is removed first: a folder that no living process holds.
"""

import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from paceline.errors import UsageError
from paceline.serve.rundir import RunDir
from paceline.serve.supervisor import marker

_MEMORY_FOLDER: Final = Path("/dev/shm")  # noqa: S108 - a folder is made in it, by mkdtemp
_READY: Final = re.compile(r"paceline-[a-z0-9_]{8}")
_BEING_MADE: Final = re.compile(r"paceline\.[a-z0-9_]{8}")
_MAKING_SECONDS: Final = 60.0
"""By then a folder is claimed, or whoever made it is gone."""
_OWN: Final = re.compile(
    r"workers|reload|reloaded|effective\.json|reports|terminating|running|held|unclean|metrics|registered\.json|progress\.json|retired\.json"
    r"|processes\.(wanted|lock)|once\..+|\..+\.\d+"
)
_REPORT: Final = re.compile(r"\d+\.json|\.\d+\.json\.\d+")
_METRICS: Final = re.compile(r".+\.db")
_KINDS: Final = {"reports": stat.S_IFDIR, "metrics": stat.S_IFDIR}
_WRITABLE_BY_OTHERS: Final = stat.S_IWGRP | stat.S_IWOTH


def claim_run_folder(asked: Path | None) -> tuple[Path, int]:
    """The folder between the processes of a pod and the descriptor whose lock marks it as taken.

    Args:
        asked: None makes a fresh one, in memory if possible.

    Raises:
        UsageError: it cannot be written to, is a link, somebody else's or writable by others, holds files that are not
            Paceline's, or is in use.
    """
    sweep(_parents())
    return _make_temporary() if asked is None else _claim_named(asked.absolute())


def sweep(parents: Iterator[Path]) -> None:
    """Removes the temporary folders of pods that were killed: this user's, held by no process."""
    for parent in parents:
        for folder in parent.glob("paceline[-.]*"):
            with suppress(OSError):  # another pod that starts now is doing the same
                if _is_abandoned(folder) and (locks := marker.lock(RunDir(folder))):
                    shutil.rmtree(folder)
                    _close(*locks)


def _is_abandoned(folder: Path) -> bool:
    """Whether it may be a temporary folder of this user's; the locks tell whether somebody lives in it."""
    status = folder.lstat()
    own = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _WRITABLE_BY_OTHERS
    if not own or _foreign(folder) is not None:
        return False
    if _BEING_MADE.fullmatch(folder.name):
        return time.time() - status.st_mtime > _MAKING_SECONDS
    return bool(_READY.fullmatch(folder.name)) and (folder / "running").exists()


def _parents() -> Iterator[Path]:
    if os.access(_MEMORY_FOLDER, os.W_OK):
        yield _MEMORY_FOLDER
    yield Path(tempfile.gettempdir())


def _make_temporary() -> tuple[Path, int]:
    # Under another name until it is locked: another pod that starts now would take it for abandoned.
    making = Path(tempfile.mkdtemp(prefix="paceline.", dir=next(_parents())))
    lock = marker.claim(RunDir(making))
    assert lock is not None, "nobody knows the folder yet"
    return making.rename(making.with_name(making.name.replace(".", "-", 1))), lock


def _claim_named(folder: Path) -> tuple[Path, int]:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        check(folder)
        tempfile.TemporaryFile(dir=folder).close()
        lock = marker.claim(RunDir(folder))
    except OSError as error:
        raise UsageError(
            f"cannot write to the run folder {folder}: {(error.strerror or str(error)).lower()};"
            " choose another with --run-dir"
        ) from error
    if lock is None:
        raise UsageError(
            f"the run folder {folder} belongs to a running `paceline serve`, or to processes of a killed one that have"
            " not ended yet; choose another --run-dir, or wait for them"
        )
    return folder, lock


def check(folder: Path) -> None:
    """What a run folder must be, since processes of the pod obey what is written in it.

    Raises:
        UsageError: one line that names the folder, what is wrong and what to do.
        OSError: it cannot be looked at.
    """
    status = folder.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise UsageError(f"the run folder {folder} is a symbolic link; name the folder itself with --run-dir")
    if status.st_uid != os.geteuid():
        raise UsageError(
            f"the run folder {folder} belongs to user {status.st_uid}, not to {os.geteuid()}, who runs this;"
            f" name one that is not there yet, such as --run-dir {folder / 'pod'}"
        )
    if status.st_mode & _WRITABLE_BY_OTHERS:
        raise UsageError(
            f"the run folder {folder} is writable by others (mode {stat.S_IMODE(status.st_mode):o});"
            f" run: chmod 700 {folder}, or name one that is not there yet, such as --run-dir {folder / 'pod'}"
        )
    if (foreign := _foreign(folder)) is not None:
        raise UsageError(
            f"the run folder {folder} holds {foreign}, which is not Paceline's; name an empty folder with --run-dir"
        )


def _foreign(folder: Path) -> str | None:
    """The first entry that Paceline does not make: it clears the folder, and must delete nothing of anybody else's."""
    for inside, known in ((folder, _OWN), (folder / "reports", _REPORT), (folder / "metrics", _METRICS)):
        try:
            entries = [*os.scandir(inside)]
        except FileNotFoundError:
            continue
        except OSError:
            return str(inside.relative_to(folder))
        for entry in entries:
            kind = stat.S_IFMT(entry.stat(follow_symlinks=False).st_mode)
            if not (known.fullmatch(entry.name) and kind == _KINDS.get(entry.name, stat.S_IFREG)):
                return str(Path(entry.path).relative_to(folder))
    return None


def _close(*descriptors: int) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
