"""Holds signals back while this process forks or becomes another program: the next state hears them.

In between they would be lost: a child that was forked just now queues them as the arbiter does, and reads no queue.
"""

import signal
from collections.abc import Collection, Iterator
from contextlib import contextmanager


@contextmanager
def held_back(numbers: Collection[int]) -> Iterator[None]:
    """What comes within is delivered afterwards. A program that this process becomes meanwhile holds them back, too."""
    former = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)
