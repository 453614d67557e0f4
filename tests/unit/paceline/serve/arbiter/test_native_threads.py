"""Threads that native libraries start while an application is loaded. In processes of their own: they would stay."""

import json
import os
import subprocess
import sys

from paceline.serve.arbiter.native_threads import suspects

_TELL = "; import json; from paceline.serve.arbiter.preload import alive_threads; print(json.dumps(alive_threads()))"
_TASKS = "; import os; assert len(os.listdir('/proc/self/task')) > 1"
_NATIVE = "import ctypes; c = ctypes.CDLL(None); c.pthread_create(ctypes.byref(ctypes.c_ulong()), None, c.pause, None)"


def _alive_after(statements: str) -> list[str]:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", statements + _TASKS + _TELL]
    return list(json.loads(subprocess.run(command, env=environment, check=True, capture_output=True).stdout))


def test_the_threads_of_numpy_stand_a_fork() -> None:
    assert _alive_after("import numpy") == []


def test_other_native_threads_are_told_as_such_without_those_that_are_no_suspects() -> None:
    (told,) = _alive_after("import numpy; " + _NATIVE)
    assert "of a native library" in told
    assert "OMP_NUM_THREADS=1" in told
    assert "openblas" not in told


def test_libraries_that_start_threads_are_suspected() -> None:
    maps = """\
7f0e-7f0f r-xp 00000000 00:31 1 /app/scikit_learn.libs/libgomp-a34b3233.so.1.0.0
7f1e-7f1f r-xp 00000000 00:31 2 /app/numpy.libs/libscipy_openblas64_-32a4b2a6.so
7f2e-7f2f r--p 00000000 00:31 3 /app/grpc/_cython/cygrpc.cpython-311-x86_64-linux-gnu.so
7f3e-7f3f rw-p 00000000 00:00 0 [heap]
"""
    assert suspects(maps) == ["cygrpc.cpython-311-x86_64-linux-gnu.so", "libgomp-a34b3233.so.1.0.0"]


def test_threads_of_python_keep_their_names() -> None:
    waits = "import threading; threading.Thread(target=threading.Event().wait, name='poller', daemon=True).start()"
    assert _alive_after("import numpy; " + waits) == ["poller"]


def test_hooks_of_the_application_do_not_run() -> None:
    hooks = "import os; os.register_at_fork(before=lambda: os._exit(3)); "
    assert len(_alive_after(hooks + _NATIVE)) == 1
