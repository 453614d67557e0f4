"""Threads that write the log, across a fork: `logging.handlers.QueueListener`, as Litestar starts one by default.

They are stopped before each fork, when all that is queued has been written, and started again in both processes.
"""

import gc
import os
from logging.handlers import QueueListener

_listeners: list[QueueListener] = []


def log_threads() -> set[int]:
    """The kernel's numbers of the threads that write the log now."""
    threads = (listener._thread for listener in _running())
    return {thread.native_id for thread in threads if thread is not None and thread.native_id is not None}


def restart_across_forks() -> None:
    """From now on the listeners that run now are stopped and started around every fork."""
    if not _listeners:
        os.register_at_fork(before=_stop, after_in_parent=_start, after_in_child=_start)
    _listeners.extend(each for each in _running() if each not in _listeners)


def _running() -> list[QueueListener]:
    # By its type: `isinstance` would ask every proxy of the application's for its class.
    return [each for each in gc.get_objects() if issubclass(type(each), QueueListener) and _runs(each)]


def _runs(listener: QueueListener) -> bool:
    return listener._thread is not None


def _stop() -> None:
    for listener in _listeners:
        if _runs(listener):
            listener.stop()


def _start() -> None:
    for listener in _listeners:
        if not _runs(listener):
            listener.start()
