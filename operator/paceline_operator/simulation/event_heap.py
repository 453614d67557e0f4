"""A binary heap of events in an array of records, for compiled code: the earliest event first."""

from typing import Any, Final

import numba
import numpy as np
from numpy.typing import NDArray

EVENT: Final = np.dtype([("time", np.float64), ("kind", np.int64), ("which", np.int64)])


def new_heap(capacity: int) -> NDArray[Any]:
    """Room for so many events at once; pushing more is the caller's mistake and is not checked."""
    return np.zeros(capacity, EVENT)


@numba.njit(cache=True)
def push(heap: NDArray[Any], size: int, time: float, kind: int, which: int) -> int:
    """Adds an event to a heap of `size`; returns the new size."""
    at = size
    while at > 0 and heap[(at - 1) >> 1].time > time:
        heap[at] = heap[(at - 1) >> 1]
        at = (at - 1) >> 1
    event = heap[at]
    event.time, event.kind, event.which = time, kind, which
    return size + 1


@numba.njit(cache=True)
def pop(heap: NDArray[Any], size: int) -> tuple[int, float, int, int]:
    """Takes the earliest event away: the new size, its time, kind and id. The heap must not be empty."""
    time, kind, which = heap[0].time, heap[0].kind, heap[0].which
    size -= 1
    last = heap[size].time
    at, child = 0, 1
    while child < size:
        if child + 1 < size and heap[child + 1].time < heap[child].time:
            child += 1
        if last <= heap[child].time:
            break
        heap[at] = heap[child]
        at, child = child, 2 * child + 1
    heap[at] = heap[size]
    return size, time, kind, which
