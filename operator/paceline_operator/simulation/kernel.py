"""The path of every request through a fleet, compiled: loop slice → (miss) pool → database → loop slice → … → response.

A pod is W single-threaded event loops under one CFS quota per 100 ms. A request is routed to a loop at random, queues
there, and runs one slice more than it makes queries. A query takes a connection of its worker's pool, first come first
served, and gives it back when the loop has run the slice that follows: a slow loop holds connections longer. The
database's time grows with the queries active in it. What runs is not interrupted: a slice that outlasts the quota is
paid for by the next period, as CFS does over a few milliseconds.

State is in few arrays of records, since compiled code counts references to each array that a call hands on.
"""

from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from paceline_operator.simulation.connections import give_back, query, wait_for_connection
from paceline_operator.simulation.event_heap import new_heap, pop, push
from paceline_operator.simulation.event_loop import make_ready, run_next
from paceline_operator.simulation.records import (
    ARRIVAL,
    COUNTS,
    DURATION,
    NOBODY,
    ORDINARY,
    POD,
    QUERY_DONE,
    REQUEST,
    SLICE_DONE,
    SLOW,
    SLOW_DURATION,
    WORKER,
    Fleet,
    Load,
    Played,
    Records,
    record,
)


def play(
    seed: int,
    rates: NDArray[np.float64],
    cpu_seconds: NDArray[np.float64],
    load: Load,
    fleet: Fleet,
    delays: NDArray[np.float64] | None = None,
) -> Played:
    """Plays a load and measures what comes after the warm-up. The same seed gives the same requests.

    Args:
        seed: of all that is random.
        rates: requests per second of the whole fleet, one for each second.
        cpu_seconds: mean CPU time of a request, one for each pod.
        load: what comes in, besides its rates.
        fleet: what serves it, besides the CPU time of its requests.
        delays: mean seconds for which a loop that wakes waits for a core, one for each pod; None: it need not wait.
    """
    total = float(rates.sum())
    most = int(total + 8 * total**0.5) + 100
    requests = np.zeros(most, REQUEST)
    requests["arrived"] = -1.0
    workers = np.zeros(len(cpu_seconds) * fleet.workers, WORKER)
    for queue in ("ready_head", "ready_tail", "pool_head", "pool_tail"):
        workers[queue] = NOBODY
    pods = np.zeros(len(cpu_seconds), POD)
    pods["cpu_mean"], pods["throttled_in"] = cpu_seconds, NOBODY
    pods["delay_mean"] = 0.0 if delays is None else delays
    # Pending at once: one slice or renewal a worker, one query a connection, the next arrival.
    heap = new_heap(len(workers) * (2 + min(fleet.pool, most)) + 8)
    latencies, slots, counts = np.zeros((most, 2)), np.arange(most)[::-1].copy(), np.zeros(1, COUNTS)
    counts["free"] = most
    _play(seed, rates, load, fleet, requests, workers, pods, heap, slots, latencies, counts)
    completed = int(counts["completed"][0])
    seconds, routes = latencies[:completed].T.copy()
    return Played(pods, seconds, routes, len(rates) - load.warm_up, int(counts["events"][0]))


@numba.njit(cache=True)
def _play(
    seed: int,
    rates: NDArray[np.float64],
    load: Load,
    fleet: Fleet,
    requests: Records,
    workers: Records,
    pods: Records,
    heap: Records,
    slots: NDArray[np.int64],
    latencies: NDArray[np.float64],
    counts: Records,
) -> None:
    np.random.seed(seed)
    end = float(len(rates))
    count = counts[0]
    count.pending = push(heap, 0, np.random.exponential(1.0 / rates[0]), ARRIVAL, 0)
    while count.pending > 0:
        count.pending, now, kind, which = pop(heap, count.pending)
        if now > end:
            break
        count.events += 1
        worker = which
        if kind == ARRIVAL:
            following = now + np.random.exponential(1.0 / rates[int(now)])
            count.pending = push(heap, count.pending, following, ARRIVAL, 0)
            worker = _admit(now, load, fleet, requests, workers, pods, slots, count)
        elif kind == SLICE_DONE:
            worker = _slice_done(now, which, load, fleet, requests, workers, pods, heap, slots, latencies, count)
        elif kind == QUERY_DONE:
            worker = _query_done(now, which, requests, workers, count)
        else:
            workers[which].busy = 0
        if worker != NOBODY:
            run_next(now, worker, load, fleet, requests, workers, pods, heap, count)
    _note_unfinished(end, load, requests, latencies, count)


@numba.njit(cache=True)
def _admit(
    now: float,
    load: Load,
    fleet: Fleet,
    requests: Records,
    workers: Records,
    pods: Records,
    slots: NDArray[np.int64],
    count: Any,
) -> int:
    """Routes a new request to a worker's ready queue; NOBODY takes it when all slots are used."""
    if count.free == 0:
        return NOBODY
    count.free -= 1
    slot = slots[count.free]
    worker = np.random.randint(0, len(workers))
    queries = 0
    if np.random.random() < load.miss_ratio:
        queries = int(load.queries)
        if np.random.random() < load.queries - queries:
            queries += 1
    sigma = fleet.cpu_sigma
    request = requests[slot]
    cpu = pods[worker // fleet.workers].cpu_mean * np.exp(sigma * np.random.normal() - 0.5 * sigma * sigma)
    request.arrived = now
    request.queued = now
    request.worker = worker
    request.route = ORDINARY
    if load.slow_share > 0.0 and np.random.random() < load.slow_share:
        request.route = SLOW
        cpu *= load.slow_factor
    request.queries_left = queries
    request.slice_seconds = cpu / (queries + 1)
    make_ready(slot, requests, workers[worker])
    return worker


@numba.njit(cache=True)
def _slice_done(
    now: float,
    slot: int,
    load: Load,
    fleet: Fleet,
    requests: Records,
    workers: Records,
    pods: Records,
    heap: Records,
    slots: NDArray[np.int64],
    latencies: NDArray[np.float64],
    count: Any,
) -> int:
    """A request has run: it gives its connection back, and queries again or is complete. Returns its worker."""
    request = requests[slot]
    worker: int = request.worker
    workers[worker].busy = 0
    pods[worker // fleet.workers].running -= 1
    if request.holds:
        give_back(now, slot, load, fleet, requests, workers, pods, heap, count)
    if request.queries_left > 0:
        request.queued = now
        if workers[worker].checked_out < fleet.pool:
            workers[worker].checked_out += 1
            query(now, slot, load, fleet, requests, pods, heap, count)
        else:
            wait_for_connection(slot, requests, workers[worker])
        return worker
    if request.arrived >= load.warm_up:
        latencies[count.completed, 0] = now - request.arrived
        latencies[count.completed, 1] = request.route
        count.completed += 1
    if now >= load.warm_up:
        pod = pods[worker // fleet.workers]
        pod.requests += 1
        pod.slow_requests += request.route
        record(pod, SLOW_DURATION if request.route == SLOW else DURATION, now - request.arrived)
    request.arrived = -1.0
    slots[count.free] = slot
    count.free += 1
    return worker


@numba.njit(cache=True)
def _query_done(now: float, slot: int, requests: Records, workers: Records, count: Any) -> int:
    """The database has responded: the request is ready again. Returns its worker."""
    count.active -= 1
    request = requests[slot]
    request.queries_left -= 1
    request.queued = now
    worker: int = request.worker
    make_ready(slot, requests, workers[worker])
    return worker


@numba.njit(cache=True)
def _note_unfinished(end: float, load: Load, requests: Records, latencies: NDArray[np.float64], count: Any) -> None:
    for slot in range(len(requests)):
        if requests[slot].arrived >= load.warm_up:
            latencies[count.completed, 0] = end - requests[slot].arrived
            latencies[count.completed, 1] = requests[slot].route
            count.completed += 1
