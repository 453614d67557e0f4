"""The event loops of the fleet, compiled: who is ready to run, and what the CPU quota lets run."""

from typing import Any

import numba
import numpy as np

from paceline_operator.simulation.event_heap import push
from paceline_operator.simulation.records import (
    LAG,
    NOBODY,
    PERIOD,
    QUOTA_RENEWED,
    SLICE_DONE,
    Fleet,
    Load,
    Records,
    record,
)


@numba.njit(cache=True)
def run_next(
    now: float,
    which: int,
    load: Load,
    fleet: Fleet,
    requests: Records,
    workers: Records,
    pods: Records,
    heap: Records,
    count: Any,
) -> None:
    """An idle loop takes the next ready slice, unless its pod has spent its quota."""
    worker = workers[which]
    if worker.busy or worker.ready_head == NOBODY:
        return
    pod = pods[which // fleet.workers]
    quota = fleet.cpu_limit * PERIOD
    period = int(now / PERIOD)
    if period > pod.period:
        pod.spent = max(0.0, pod.spent - quota * (period - pod.period))
        pod.period = period
    worker.busy = 1
    if pod.spent >= quota:
        if pod.throttled_in != period and now >= load.warm_up:
            pod.throttled += 1
        pod.throttled_in = period
        count.pending = push(heap, count.pending, (period + 1) * PERIOD + 1e-9, QUOTA_RENEWED, which)
        return
    slot = worker.ready_head
    worker.ready_head = requests[slot].next
    spent, starts = requests[slot].slice_seconds, now
    if pod.delay_mean > 0.0 and requests[slot].queued == now:
        # The loop was asleep: it waits for a core that a neighbour has. One that is running keeps its core.
        starts += np.random.exponential(pod.delay_mean)
    pod.spent += spent
    pod.running += 1
    if now >= load.warm_up:
        pod.cpu_seconds += spent
        record(pod, LAG, starts - requests[slot].queued)
    slowed = max(1.0, pod.running / fleet.cores)
    count.pending = push(heap, count.pending, starts + spent * slowed, SLICE_DONE, slot)


@numba.njit(cache=True)
def make_ready(slot: int, requests: Records, worker: Any) -> None:
    """Puts a request at the end of its worker's ready queue."""
    requests[slot].next = NOBODY
    if worker.ready_head == NOBODY:
        worker.ready_head = slot
    else:
        requests[worker.ready_tail].next = slot
    worker.ready_tail = slot
