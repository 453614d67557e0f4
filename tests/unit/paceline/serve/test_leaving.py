"""How a process of the pod ends."""

import subprocess
import sys

_END = """
import atexit, os, sys, threading, time
from paceline.serve.leaving import leave_with

class Remains:
    def __del__(self):
        print("dismantled")

remains = Remains()
atexit.register(print, "registered first")
atexit.register(print, "registered last")

def main():
    {body}

leave_with(main)
"""


def _run(body: str) -> subprocess.CompletedProcess[str]:
    source = _END.format(body=body)
    return subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False)


def test_exit_handlers_run_and_memory_is_left_to_the_kernel() -> None:
    done = _run("return 3")
    assert done.stdout.splitlines() == ["registered last", "registered first"]
    assert (done.returncode, done.stderr) == (3, "")


def test_a_forked_process_ends_the_same_way() -> None:
    done = _run("pid = os.fork(); pid and sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])); sys.exit(4)")
    assert (done.stdout.splitlines(), done.returncode) == (["registered last", "registered first"] * 2, 4)


def test_an_exit_handler_that_fails_is_told_and_the_others_run() -> None:
    done = _run("atexit.register(lambda: 1 / 0); return 0")
    assert done.stdout.splitlines() == ["registered last", "registered first"]
    assert "ZeroDivisionError" in done.stderr


def test_a_thread_that_is_no_daemon_is_waited_for() -> None:
    done = _run("threading.Timer(0.2, print, ['the thread is done']).start(); return 0")
    assert done.stdout.splitlines() == ["the thread is done", "registered last", "registered first"]


def test_an_error_is_shown() -> None:
    done = _run("raise ValueError('odd')")
    assert done.returncode == 1
    assert "ValueError: odd" in done.stderr
