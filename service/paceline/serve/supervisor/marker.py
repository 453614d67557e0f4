"""Takes and gives back the run folder; a marker in it tells the next life whether this one ended cleanly.

Only the supervisor uses it. The marker is the file `running`; a lock on it keeps a second supervisor out.
"""

import fcntl
import os
from pathlib import Path

from paceline.serve.rundir import RunDir


def claim(run: RunDir) -> int | None:
    """Clears what a former life left, and keeps in `unclean` whether that one was cut short.

    Returns the descriptor whose lock marks the folder as taken, or None if another supervisor holds it.
    """
    run.reports.mkdir(parents=True, exist_ok=True)
    run.metrics.mkdir(exist_ok=True)
    unclean = run.running.exists()
    lock = os.open(run.running, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    processes = (run.processes_wanted, run.processes_socket)
    written = (*processes, *run.reports.iterdir(), *run.metrics.iterdir())
    for stale in (run.workers, run.effective, run.terminating, run.unclean, *written):
        stale.unlink(missing_ok=True)
    if unclean:
        run.unclean.touch()
    return lock


def release(run: RunDir, *, clean: bool, started: bool, temporary: bool) -> None:
    """Removes the marker after a clean end, and a temporary folder altogether.

    A life that never `started` serving says nothing about the values it would have run: it leaves the marker as found.
    """
    if clean or not (started or run.unclean.exists()):
        run.running.unlink(missing_ok=True)
    if not temporary:
        return
    for folder, _, files in os.walk(run.path, topdown=False):
        for name in files:
            Path(folder, name).unlink(missing_ok=True)
        Path(folder).rmdir()
