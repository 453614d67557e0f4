"""The connection pools of the fleet and the database behind them, compiled."""

from typing import Any

import numba
import numpy as np

from paceline_operator.simulation.event_heap import push
from paceline_operator.simulation.records import HOLD, NOBODY, QUERY_DONE, WAIT, Fleet, Load, Records, record


@numba.njit(cache=True)
def query(
    now: float, slot: int, load: Load, fleet: Fleet, requests: Records, pods: Records, heap: Records, count: Any
) -> None:
    """A query starts; its time is fixed by how many are active then."""
    request = requests[slot]
    request.holds = 1
    request.granted = now
    if now >= load.warm_up:
        record(pods[request.worker // fleet.workers], WAIT, now - request.queued)
    count.active += 1
    others = max(0.0, count.active * fleet.pods_stood_for - 1.0)
    slowed = 1.0 + others * (fleet.contention + fleet.coherency * (others + 1.0))
    sigma = fleet.query_sigma
    drawn = np.exp(sigma * np.random.normal() - 0.5 * sigma * sigma)
    count.pending = push(heap, count.pending, now + fleet.query_seconds * slowed * drawn, QUERY_DONE, slot)


@numba.njit(cache=True)
def wait_for_connection(slot: int, requests: Records, worker: Any) -> None:
    """Puts a request at the end of its worker's queue for a connection."""
    requests[slot].next = NOBODY
    if worker.pool_head == NOBODY:
        worker.pool_head = slot
    else:
        requests[worker.pool_tail].next = slot
    worker.pool_tail = slot


@numba.njit(cache=True)
def give_back(
    now: float,
    slot: int,
    load: Load,
    fleet: Fleet,
    requests: Records,
    workers: Records,
    pods: Records,
    heap: Records,
    count: Any,
) -> None:
    """A connection comes back; whoever has waited longest gets it."""
    which = requests[slot].worker
    requests[slot].holds = 0
    if now >= load.warm_up:
        record(pods[which // fleet.workers], HOLD, now - requests[slot].granted)
    worker = workers[which]
    successor: int = worker.pool_head
    if successor == NOBODY:
        worker.checked_out -= 1
    else:
        worker.pool_head = requests[successor].next
        query(now, successor, load, fleet, requests, pods, heap, count)
