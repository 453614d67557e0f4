"""How a pod exchanges its workers one by one for others that run new code. Pure: says what to move to next.

    limits shrink → one worker more → one of the former code less → … → limits grow

Where a limit is too small to be shared by one more worker, or memory is short, the worker of the former code goes
first; with a single worker the listening socket's backlog holds requests meanwhile. `sequencing.py` carries out each
move.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from paceline.document.bounds import CompleteValues
from paceline.document.pod import Worker


def reload_target(
    wanted: CompleteValues, former: Collection[int], workers: Sequence[Worker], *, room: bool
) -> CompleteValues:
    """What to move to next while workers of the `former` code live; `wanted` once there are none.

    Worked example: 3 workers of 8 connections: 4 of 6 (a new one came), 3 of 6 (a former one left), …, 3 of 8.

    Args:
        wanted: what the pod runs before and after.
        former: pids of workers that run the former code.
        workers: every process, draining ones included.
        room: whether memory suffices for one worker more.
    """
    if not former:
        return wanted
    per_pod = {name for worker in workers for name, use in worker.pools.items() if use.per_pod}
    count = wanted.workers
    pools = {name: limit if name in per_pod else limit * count // (count + 1) for name, limit in wanted.pools.items()}
    if room and all(pools.values()):
        return replace(wanted, workers=_next_count(count, workers), pools=pools)
    return replace(wanted, workers=_next_count(count - 1, workers))


def _next_count(least: int, workers: Sequence[Worker]) -> int:
    """`least` while one is to leave, or leaves; else one more, which is to start."""
    leaving = any(worker.draining for worker in workers)
    enough = len(workers) > least and all(worker.ready for worker in workers)
    return least if leaving or enough else least + 1
