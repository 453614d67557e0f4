"""The order in which a pod moves from the values it runs to the values it wants. Pure: no file, no clock, no process.

    pools shrink everywhere → wait → workers are added one by one, or removed and waited for → pools grow

A worker process counts until it is gone, draining or not, with the largest limit that it may still hold. So at no
time is the sum of a pool's limits over all processes above the larger of the old and the new total (workers × limit).

Assumed of the others: a worker reports step 0 before it first reads what to run, and never again after; the arbiter
follows a new count within `SETTLE_SECONDS` and replaces a process only once it is gone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from paceline.document.adoption import DesiredState, Refusal
from paceline.document.bounds import CompleteValues
from paceline.document.pod import PodSnapshot, Worker

SETTLE_SECONDS: Final = 1.0
"""How long after a write somebody may still act on what was written before: the arbiter starts a worker that the old
count allowed, a new worker reads the old values."""

WEIGH_SECONDS: Final = 5.0
"""How long a worker is given to report its memory, before the next is added on what the pod uses alone."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a desired state has been carried out: the sequencer's only memory."""

    desired: DesiredState
    fallback: DesiredState
    """The last state whose shrink went through; what runs again if this one's shrink is blocked."""
    step: int
    """Numbers what was written to workers; they report the step they run."""
    generation: int
    workers: int
    values: CompleteValues
    """Generation, worker count and values as written; `values.workers` is where the count is going."""
    settled: Mapping[str, int]
    """Pool limits that no process is above."""
    since: float
    """When the last write happened or the desired state arrived (monotonic seconds)."""
    removed_at: float | None = None
    """When the worker count was last lowered."""
    memory_bound: int | None = None
    """Workers at which memory ran out; kept for this desired state, so that an acknowledged count stays."""
    blocked: Refusal | None = None
    """The desired state that was undone last."""


def begin(desired: DesiredState, wanted: CompleteValues, *, workers: int, step: int, now: float) -> Progress:
    """Where no worker runs yet, the wanted values hold at once, with the first `workers` of the workers."""
    return Progress(
        desired=desired,
        fallback=desired,
        step=step,
        generation=desired.generation,
        workers=workers,
        values=wanted,
        settled=wanted.pools,
        since=now,
    )


def follow(progress: Progress, desired: DesiredState, *, now: float) -> Progress:
    """Turns to a new desired state from wherever things are."""
    return replace(progress, desired=desired, since=now, memory_bound=None, blocked=None)


def advance(progress: Progress, wanted: CompleteValues, snapshot: PodSnapshot) -> Progress:
    """The next step towards `wanted`: what `progress.desired` grants this pod. Unchanged while it must wait."""
    former, progress = progress, _lower_limits(progress, wanted, snapshot.now)
    # `snapshot` is older than a write made now: a worker that it does not show may have read the former values.
    unseen = progress.step != former.step
    if _lowered(progress) and (unseen or blockers(progress, snapshot.workers)):
        return _undo_if_overdue(progress, snapshot)
    progress = replace(progress, settled=progress.values.pools, fallback=progress.desired)
    progress = _move_workers(progress, wanted, snapshot)
    if _has_workers_wanted(progress, wanted, snapshot):
        progress = _write(progress, snapshot.now, replace(wanted, workers=progress.workers))
        progress = replace(progress, settled=wanted.pools)
    return progress


def blockers(progress: Progress, workers: Sequence[Worker]) -> list[str]:
    """What a shrink still waits for, one phrase each; nothing where no limit is being lowered."""
    lowered = _lowered(progress)
    if not lowered:
        return []
    silent = [
        f"worker {worker.pid} has not applied step {progress.step}"
        for worker in workers
        if _may_run_older(worker, progress)
    ]
    excess = {name: _excess(workers, name, limit) for name, limit in lowered.items()}
    return silent + [
        f"{name} {progress.settled.get(name, '')}→{lowered[name]}: {count} connections in use"
        for name, count in excess.items()
        if count
    ]


def pending(progress: Progress, wanted: CompleteValues, snapshot: PodSnapshot) -> list[str]:
    """What is not done yet, one phrase each. Empty is the acknowledgement: all workers run it, nothing is left over."""
    workers = snapshot.workers
    phrases = blockers(progress, workers)
    count = _target(progress, wanted)
    serving = [worker for worker in workers if not worker.draining]
    ready = sum(worker.ready for worker in serving)
    if ready < count:
        phrases.append(f"worker {ready + 1} of {count} not ready")
    behind = sum(worker.step < progress.step for worker in serving)
    if behind:
        phrases.append(f"{behind} of {len(serving)} workers have not applied step {progress.step}")
    leaving = len(workers) - min(len(serving), count)
    if leaving:
        phrases.append(f"{leaving} removed workers not gone")
    elif not _is_quiet(progress, snapshot.now):
        phrases.append("workers removed a moment ago")
    growing = [name for name, limit in wanted.pools.items() if progress.values.pools.get(name) != limit]
    phrases += [f"{name} {progress.values.pools.get(name, '')}→{wanted.pools[name]}: not written" for name in growing]
    if progress.generation != progress.desired.generation:
        phrases.append(f"generation {progress.desired.generation} not written")
    return phrases


def _lower_limits(progress: Progress, wanted: CompleteValues, now: float) -> Progress:
    pools = {name: min(limit, progress.settled.get(name, limit)) for name, limit in wanted.pools.items()}
    return _write(progress, now, replace(wanted, workers=_target(progress, wanted), pools=pools))


def _lowered(progress: Progress) -> dict[str, int]:
    """Pools whose limit was lowered and is not settled. One that turned up just now counts: it may run anything."""
    return {
        name: limit for name, limit in progress.values.pools.items() if limit < progress.settled.get(name, limit + 1)
    }


def _may_run_older(worker: Worker, progress: Progress) -> bool:
    # A worker that had read nothing yet well after the write will read what was written: one that takes long to start,
    # or dies at every start, holds nobody up.
    starting = worker.step == 0 and worker.reported >= progress.since + SETTLE_SECONDS
    return worker.step < progress.step and not starting


def _excess(workers: Sequence[Worker], pool: str, limit: int) -> int:
    """What is out beyond the limit. Limit 2, in use 2 and 3 in two workers: 1; were it one pool for the pod: 3."""
    uses = [worker.pools[pool] for worker in workers if pool in worker.pools]
    if any(use.per_pod for use in uses):
        return max(0, sum(use.in_use for use in uses) - limit)
    return sum(max(0, max(use.in_use, use.open) - limit) for use in uses)


def _undo_if_overdue(progress: Progress, snapshot: PodSnapshot) -> Progress:
    if (
        snapshot.now - progress.since < snapshot.shrink_deadline_seconds
        or progress.fallback.generation == progress.desired.generation
    ):
        return progress
    refusal = Refusal(
        progress.desired.generation,
        "ShrinkBlocked",
        f"undone after {snapshot.shrink_deadline_seconds:g} s: {'; '.join(blockers(progress, snapshot.workers))}; "
        f"generation {progress.fallback.generation} stays in force",
    )
    # Growing back to `settled` needs no waiting: no worker was added meanwhile. The next pass writes it.
    return replace(progress, desired=progress.fallback, since=snapshot.now, memory_bound=None, blocked=refusal)


def _move_workers(progress: Progress, wanted: CompleteValues, snapshot: PodSnapshot) -> Progress:
    target = _target(progress, wanted)
    if progress.workers > target:
        return replace(progress, workers=target, removed_at=snapshot.now)
    if (
        progress.workers == target
        or not _all_present(progress, snapshot.workers)
        or _memory_unknown(progress, snapshot)
    ):
        return progress
    if snapshot.memory.has_room():
        return replace(progress, workers=progress.workers + 1)
    return replace(progress, memory_bound=progress.workers)


def _all_present(progress: Progress, workers: Sequence[Worker]) -> bool:
    """Every worker asked for serves, and none is on its way out: only then may the next be added."""
    ready = sum(worker.ready and not worker.draining for worker in workers)
    return ready >= progress.workers and len(workers) <= progress.workers


def _memory_unknown(progress: Progress, snapshot: PodSnapshot) -> bool:
    unknown = snapshot.memory.limit_bytes is not None and snapshot.memory.per_worker_bytes is None
    return unknown and snapshot.now - progress.since < WEIGH_SECONDS


def _has_workers_wanted(progress: Progress, wanted: CompleteValues, snapshot: PodSnapshot) -> bool:
    reached = progress.workers == _target(progress, wanted) and len(snapshot.workers) <= progress.workers
    return reached and _is_quiet(progress, snapshot.now)


def _is_quiet(progress: Progress, now: float) -> bool:
    """Whether the arbiter can no longer be starting a worker that an older, larger count allowed."""
    return progress.removed_at is None or now - progress.removed_at >= SETTLE_SECONDS


def _target(progress: Progress, wanted: CompleteValues) -> int:
    return wanted.workers if progress.memory_bound is None else min(wanted.workers, progress.memory_bound)


def _write(progress: Progress, now: float, values: CompleteValues) -> Progress:
    if values == progress.values and progress.generation == progress.desired.generation:
        return progress
    return replace(progress, values=values, generation=progress.desired.generation, step=progress.step + 1, since=now)
