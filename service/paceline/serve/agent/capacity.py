"""Carries out tuning documents in one pod: each pass gathers, asks the pure `document` package, writes what it says.

Holds the pass and nothing else: no server, no signal, no task. Clock and folders are arguments.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from paceline.document.adoption import DesiredState, Refusal, consider, desired_of, invalid
from paceline.document.bounds import Clamp, CompleteValues, Grant, HardCaps, grant
from paceline.document.model import TuningDocument, Values
from paceline.document.pod import Memory, PodSnapshot
from paceline.document.reloading import reload_target
from paceline.document.resuming import Saved, catch_up, unreported
from paceline.document.sequencing import Progress, advance, begin, follow, pending
from paceline.errors import InvalidDocument
from paceline.serve.agent.registered import Registered, learn, load, save
from paceline.serve.agent.reports import Reports
from paceline.serve.agent.resumed import load_progress, save_progress
from paceline.serve.agent.tuning_file import TuningFile
from paceline.serve.rundir import Effective, RunDir
from paceline.settings import ServeSettings

logger = logging.getLogger("paceline.serve")


@dataclass(frozen=True, slots=True)
class Status:
    """What a pass found and left: all that `/state` says about tuning."""

    progress: Progress
    clamped: tuple[Clamp, ...]
    pending: tuple[str, ...]
    refused: Refusal | None
    registered: Registered
    served: bool
    """Whether a worker was ready yet; before, its lifespan may still be registering names."""
    start: CompleteValues
    applied_at: float | None
    """When the generation was first carried out in full (monotonic seconds)."""
    routes: tuple[str, ...] = ()
    """Route groups that the newest document names, whether or not its values were undone."""


class Capacity:
    """One a pod. Made before the first worker starts it writes the first values; later it resumes what was saved."""

    def __init__(
        self,
        settings: ServeSettings,
        run_dir: RunDir,
        reports: Reports,
        *,
        memory: Callable[[], Memory],
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._run_dir = run_dir
        self._reports = reports
        self._memory = memory
        self._clock = clock
        self._file = TuningFile(settings.tuning_file if settings.tuning == "on" else None)
        self._known = load(run_dir)
        self._limit = memory().limit_bytes
        self._refused: Refusal | None = None
        self._resumed_at: float | None = None
        self._served = False
        self._applied: tuple[int, float] | None = None
        self._newest = DesiredState(0, Values())
        self._saved: Saved | None = None
        self._written_step: int | None = None
        saved = load_progress(run_dir)
        if saved is None:
            self._begin()
        else:
            self._resume(saved)
        self.status = self._status()

    def _begin(self) -> None:
        desired = self._read_desired(after_unclean_exit=self._run_dir.unclean.exists()) or self._newest
        wanted = self._grant(desired).values
        self._progress = begin(desired, wanted, workers=self._workers_at_once(wanted), step=1, now=self._clock())
        self._write()

    def _resume(self, saved: Saved) -> None:
        """After the former agent was killed. Nothing is written here: it may be that workers have not reported yet."""
        self._progress, self._newest = saved.progress, saved.newest
        self._served, self._applied = saved.served, saved.applied
        self._saved = saved
        effective = self._run_dir.read_effective()
        self._written_step = effective.step if effective else None
        self._resumed_at = self._clock()
        logger.warning("the agent was restarted; it resumes at generation %d, step %d", *_where(saved.progress))

    def has_news(self) -> bool:
        """Whether the document was written since the last pass."""
        return self._file.changed

    def is_changing(self) -> bool:
        """Whether something is to happen that a pass must see soon."""
        return bool(self.status.pending) or not self._served

    def run_pass(self) -> None:
        """Gather, decide, apply. Raises OSError where a file cannot be written; the next pass tries again."""
        stopping = self._run_dir.terminating.exists()
        self._reports.read(stopping=stopping)
        self._learn()
        if not stopping and not self._unreported():
            self._resumed_at = None
            self._progress = catch_up(
                self._progress, step=self._written_step, workers=self._run_dir.read_workers(), now=self._clock()
            )
            self._follow_resize()
            desired = self._read_desired()
            if desired is not None:
                self._progress = follow(self._progress, desired, now=self._clock())
            self._carry_out(advance(self._progress, self._target(), self._snapshot()))
        self.status = self._status()

    def _follow_resize(self) -> None:
        """A pod that was given more memory while it runs has room again for workers that it did without."""
        limit, before = self._memory().limit_bytes, self._limit
        self._limit = limit
        if before is not None and (limit is None or limit > before):
            self._progress = replace(self._progress, memory_bound=None)

    def _unreported(self) -> list[str]:
        return [] if self._resumed_at is None else unreported(self._reports.workers(), self._resumed_at)

    def _read_desired(self, *, after_unclean_exit: bool = False) -> DesiredState | None:
        """A new generation to follow, or None. What is refused is remembered until the file changes."""
        try:
            content = self._file.read()
        except InvalidDocument as error:
            self._refuse(invalid(error))
            return None
        if content is None:
            if self._file.absent:
                self._refuse(None)
            return None
        judgement = consider(content, self._newest)
        self._refuse(judgement if isinstance(judgement, Refusal) else None)
        if not isinstance(judgement, TuningDocument):
            return None
        self._newest = desired_of(judgement, self._settings.pod_uid, after_unclean_exit=after_unclean_exit)
        logger.info("following generation %d", self._newest.generation)
        return self._newest

    def _refuse(self, refusal: Refusal | None) -> None:
        if refusal is not None and refusal != self._refused:
            logger.error("tuning document refused: %s: %s", refusal.reason, refusal.message)
        self._refused = refusal

    def _learn(self) -> None:
        reports = self._reports.living
        if not self._served and any(report["ready"] for report in reports):
            # From now on this life knows better than the last one.
            self._served, self._known = True, Registered()
        known = learn(self._known, reports)
        if known != self._known:
            self._known = known
            save(known, self._run_dir)

    def _grant(self, desired: DesiredState) -> Grant:
        caps = HardCaps(self._settings.max_workers, self._known.caps)
        return grant(desired.values, start=self._start(), caps=caps, after_unclean_exit=desired.after_unclean_exit)

    def _target(self) -> CompleteValues:
        """What to move to: what was granted, or the next step of exchanging workers for those of new code."""
        granted = self._grant(self._progress.desired).values
        bound = self._progress.memory_bound
        room = bound is None or bound > granted.workers
        return reload_target(granted, self._former(), self._reports.workers(), room=room)

    def _former(self) -> list[int]:
        """The living workers that run the former code."""
        former = self._run_dir.read_reloaded()[1]
        return [worker.pid for worker in self._reports.workers() if worker.pid in former] if former else []

    def _to_reload(self) -> list[str]:
        if self._run_dir.read_reload() > self._run_dir.read_reloaded()[0]:
            return ["reload: the application is being loaded"]
        former = self._former()
        return [f"reload: {len(former)} workers run the former code"] if former else []

    def _start(self) -> CompleteValues:
        return CompleteValues(self._settings.workers, self._known.start.pools, self._known.start.caches)

    def _workers_at_once(self, wanted: CompleteValues) -> int:
        """Where memory is limited, only as many as the pod starts with anyway: the others are measured one by one."""
        limited, started = self._memory().limit_bytes is not None, self._settings.workers_at_once
        first = self._settings.workers if started is None else min(started, self._settings.workers)
        return min(wanted.workers, first) if limited else wanted.workers

    def _snapshot(self) -> PodSnapshot:
        return PodSnapshot(
            self._reports.workers(), self._memory(), self._clock(), self._settings.shrink_deadline_seconds
        )

    def _carry_out(self, progress: Progress) -> None:
        former, self._progress = self._progress, progress
        if progress.blocked is not None and progress.blocked is not former.blocked:
            logger.error("tuning document undone: %s: %s", progress.blocked.reason, progress.blocked.message)
        self._reports.expect_removals(former.workers - progress.workers)
        self._write()

    def _write(self) -> None:
        """Progress first: a killed agent must have left nothing that the next one does not know of.

        Values before the count: a worker that the new count starts must find them.
        """
        progress = self._progress
        self._save()
        if progress.step != self._written_step:
            self._write_effective(progress)
            self._written_step = progress.step
        if self._run_dir.read_workers() != progress.workers:
            self._run_dir.write_workers(progress.workers)

    def _save(self) -> None:
        fresh = Saved(self._progress, self._newest, self._served, self._applied)
        if fresh != self._saved:
            save_progress(fresh, self._run_dir)
            self._saved = fresh

    def _write_effective(self, progress: Progress) -> None:
        desired = progress.desired
        self._run_dir.write_effective(
            Effective(progress.generation, progress.step, progress.values, desired.traceparent, desired.policy)
        )

    def _status(self) -> Status:
        progress = self._progress
        granted = self._grant(progress.desired)
        clamped = granted.clamped
        if progress.memory_bound is not None and progress.memory_bound < granted.values.workers:
            clamped += (Clamp("workers", granted.values.workers, progress.memory_bound, "memory"),)
        left = (*self._unreported(), *self._to_reload(), *pending(progress, self._target(), self._snapshot()))
        return Status(
            progress=progress,
            clamped=clamped,
            pending=left,
            refused=self._refused or progress.blocked,
            registered=self._known,
            served=self._served,
            start=self._start(),
            applied_at=self._applied_at(progress.desired.generation, done=not left),
            routes=self._newest.routes,
        )

    def _applied_at(self, generation: int, *, done: bool) -> float | None:
        # Once for a generation: a worker that dies and comes back later does not apply it anew.
        known = self._applied is not None and self._applied[0] == generation
        if done and not known:
            self._applied = generation, self._clock()
        return self._applied[1] if self._applied is not None and self._applied[0] == generation else None


def _where(progress: Progress) -> tuple[int, int]:
    return progress.generation, progress.step
