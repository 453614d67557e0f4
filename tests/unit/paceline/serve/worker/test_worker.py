"""How a worker's process ends."""

import subprocess
import sys

_END = """
import atexit
from paceline.serve.worker.worker import _leave_memory_behind

class Remains:
    def __del__(self):
        print("dismantled")

remains = Remains()
atexit.register(print, "registered first")
atexit.register(print, "registered last")
{failing}
atexit.register(_leave_memory_behind)
"""


def test_exit_handlers_run_and_memory_is_left_to_the_kernel() -> None:
    done = subprocess.run([sys.executable, "-c", _END.format(failing="")], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (["registered last", "registered first"], "")


def test_an_exit_handler_that_fails_is_told_and_the_others_run() -> None:
    source = _END.format(failing="atexit.register(lambda: 1 / 0)")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["registered last", "registered first"]
    assert "ZeroDivisionError" in done.stderr
