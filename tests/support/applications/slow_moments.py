"""Is slow when a signal could be missed: while a file of the folder MOMENTS is there, `import` or `fork`.

Each process that comes to such a moment says so first, in a file of its own: `importing.PID`, `forked.PID`.
"""

import os
import time
from pathlib import Path

from starlette.applications import Starlette

_FOLDER = Path(os.environ["MOMENTS"])
_MOST_SECONDS = 20.0
_POLL_SECONDS = 0.02


def _wait_while(name: str, note: str) -> None:
    (_FOLDER / f"{note}.{os.getpid()}").touch()
    deadline = time.monotonic() + _MOST_SECONDS
    while (_FOLDER / name).exists() and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


os.register_at_fork(after_in_child=lambda: _wait_while("fork", "forked"))
_wait_while("import", "importing")

app = Starlette()
