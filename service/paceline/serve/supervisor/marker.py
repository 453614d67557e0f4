"""Takes and gives back the run folder; a marker in it tells the next life whether this one ended cleanly.

Only the supervisor uses it. The marker is the file `running`; its lock and that on `held` keep a second supervisor out
until the last process of the former life has ended.
"""

import fcntl
import os
from pathlib import Path

from paceline.serve.rundir import RunDir


def claim(run: RunDir) -> int | None:
    """Clears what a former life left, and records in `unclean` whether that one was cut short.

    Returns the descriptor whose lock marks the folder as taken, or None if living processes hold it.
    """
    run.reports.mkdir(exist_ok=True)
    run.metrics.mkdir(exist_ok=True)
    unclean = run.running.exists()
    locks = lock(run)
    if locks is None:
        return None
    running, held = locks
    of_agent = (run.reload, run.reloaded, run.progress, run.retired, run.processes_wanted)
    written = (*of_agent, *run.reports.iterdir(), *run.metrics.iterdir())
    for stale in (run.workers, run.effective, run.terminating, run.unclean, *written):
        stale.unlink(missing_ok=True)
    os.utime(running)  # when this life began, for an agent that is restarted
    if unclean:
        run.unclean.touch()
    os.close(held)  # for agent and arbiter, which start later
    return running


def lock(run: RunDir) -> tuple[int, int] | None:
    """Locks `running`, as a supervisor does, and `held`, as all others do; None if a living process holds either."""
    descriptors: list[int] = []
    for path in (run.running, run.held):
        descriptors.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
        try:
            fcntl.flock(descriptors[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            for descriptor in descriptors:
                os.close(descriptor)
            return None
    return descriptors[0], descriptors[1]


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
