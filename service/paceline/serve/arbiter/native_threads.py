"""Threads that native libraries started: which of them stand a fork, and whose the others may be.

`import numpy` starts some: OpenBLAS's. That library ends its threads before every fork (`pthread_atfork`) and starts
new ones in whichever process next multiplies matrices, so they are no reason to load the application once a worker.
"""

import ctypes
import os
import re
from pathlib import Path
from typing import Final

_WITH_THREADS: Final = re.compile(
    r"[^/]*(?:gomp|iomp|libomp|mkl_|tbb|polars|arrow|torch|grpc|onnxruntime|tensorflow|rdkafka|rocksdb)[^/]*\.so[^/]*"
)
"""File names of libraries that are known for threads of their own."""
_MOST_NAMED: Final = 3


def rehearse_fork() -> None:
    """Forks once. Afterwards the threads of libraries that prepare for a fork are gone; what is left would break.

    As the C library forks: none of Python's hooks runs, the application's included.
    """
    library = ctypes.PyDLL(None)  # keeps the interpreter's lock: in the child nobody could give it back
    child = library.fork()
    if child == 0:
        library._exit(0)
    if child > 0:
        os.waitpid(child, 0)


def described(name: str) -> str:
    """A native thread by its name in the kernel, mostly the program's, and the libraries that may have started it."""
    found = suspects(Path("/proc/self/maps").read_text())[:_MOST_NAMED]
    perhaps = f", perhaps {' or '.join(found)}" if found else ""
    return f"{name} of a native library{perhaps}; many start none with OMP_NUM_THREADS=1"


def suspects(maps: str) -> list[str]:
    """Libraries in a `/proc/PID/maps` that are known for threads of their own: `libgomp.so.1`, for instance."""
    names = {line.rpartition("/")[2] for line in maps.splitlines()}
    return sorted(name for name in names if _WITH_THREADS.fullmatch(name))
