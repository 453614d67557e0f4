"""How a process of the pod ends: threads and exit handlers as ever, but its memory is left to the kernel.

Taking the interpreter apart touches every object. That costs an agent or arbiter half a second on a busy machine, which
every stop of a pod would wait for, and a worker first copies each page of it from the arbiter's.
"""

import atexit
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn


def leave_with(main: Callable[[], int]) -> NoReturn:
    """Runs `main` and ends the process with its status; so does every process that `main` forks.

    An error that `main` lets through ends the process as ever.
    """
    try:
        status = main()
    except SystemExit as end:
        if isinstance(end.code, str):
            raise
        status = end.code or 0
    _leave(status)


def _leave(status: int) -> NoReturn:
    try:
        threading._shutdown()  # type: ignore[attr-defined] # as the interpreter: waits for non-daemon ones
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # closed, or nobody reads it any more
                stream.flush()
        os._exit(status)
