"""The agent's view of the workers: reads their reports, tells the living from the gone, keeps what the gone counted.

Knows no document and takes no decision. File access blocks, but shortly: the run folder is meant for tmpfs.
"""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from paceline.document.model import PROCESSES
from paceline.document.pod import PoolUse, Worker
from paceline.serve.agent.resumed import Retired, load_retired, save_retired
from paceline.serve.agent.totals import Report, add_up, exemplars, known_groups, named_groups, retire
from paceline.serve.rundir import RunDir, stamp

_STAT_STARTED: Final = 19
"""Index of `starttime` after the command name in /proc/PID/stat, see proc(5)."""

logger = logging.getLogger("paceline.serve")


@dataclass(frozen=True, slots=True)
class _Seen:
    """One worker process: when it started tells it from a later one with the same pid."""

    started: int
    report: Report


@dataclass(slots=True)
class Reports:
    """Every report of one pod's life; `read` once a pass, the rest works from what was read."""

    run_dir: RunDir
    started_at: Callable[[int], int | None]
    """When a pid's process started, in any unit; None once it is gone."""
    restarts: int = 0
    """Workers that vanished without being asked to."""
    _living: dict[int, _Seen] = field(default_factory=dict)
    _stamps: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    _groups: tuple[str, ...] = ()
    _retired: Report = field(default_factory=dict)
    _retired_cpu_seconds: float = 0.0
    _leaving: int = 0

    @property
    def living(self) -> tuple[Report, ...]:
        """The last report of every worker process that has not gone, the oldest process first."""
        return tuple(seen.report for seen in sorted(self._living.values(), key=lambda seen: seen.started))

    def workers(self) -> tuple[Worker, ...]:
        """The living as the sequencer sees them."""
        return tuple(_to_worker(report) for report in self.living)

    def totals(self, groups: Sequence[str] = ()) -> dict[str, Any]:
        """The pod's measures since it started: living workers and what retired ones left.

        `groups` are shown by name before the eight that always are, each `*` in them standing for any text; all other
        requests are added to `other`.
        """
        return add_up((self._retired, *self.living), named_groups(self._groups), groups)

    def exemplars(self) -> dict[str, list[Mapping[str, Any]]]:
        """Requests of living workers that have a trace, by group."""
        return exemplars(self.living, self._groups)

    @property
    def groups(self) -> tuple[str, ...]:
        """Every request group that is counted by name."""
        return self._groups

    @property
    def cpu_seconds(self) -> float:
        """CPU time of all workers since the pod started."""
        return self._retired_cpu_seconds + sum(float(report.get("cpuSeconds", 0.0)) for report in self.living)

    def expect_removals(self, count: int) -> None:
        """The next `count` workers to vanish were asked to; a negative count takes an earlier order back."""
        self._leaving = max(0, self._leaving + count)

    def resume(self) -> None:
        """Goes on from what a former agent of this life has added up."""
        if (kept := load_retired(self.run_dir)) is not None:
            self._retired, self._retired_cpu_seconds = kept.report, kept.cpu_seconds
            self.restarts, self._groups = kept.restarts, kept.groups

    def read(self, *, stopping: bool = False) -> None:
        """Takes in new reports and retires workers that are gone; while `stopping` all of them are asked to go."""
        for pid, seen in list(self._living.items()):
            started = self.started_at(pid)
            if started is None:
                self._take_in(pid, seen.started)
            if started != seen.started:
                self._retire(pid, stopping=stopping)
        for path in self.run_dir.reports.glob("*.json"):
            if path.stem.isdecimal():
                # A process that is gone already is taken in too: its counts are retired on the next pass.
                self._take_in(int(path.stem), self.started_at(int(path.stem)) or 0)
        self._groups = known_groups(self._groups, self.living)

    def _take_in(self, pid: int, started: int) -> None:
        path = self.run_dir.report(pid)
        fresh = stamp(path)
        if fresh is None or fresh == self._stamps.get(pid):
            return
        self._stamps[pid] = fresh
        report = _load(path)
        if report is not None:
            former = self._living.get(pid)
            self._living[pid] = _Seen(started, _keep_closed(former.report, report) if former else report)

    def _retire(self, pid: int, *, stopping: bool) -> None:
        report = self._living.pop(pid).report
        self._stamps.pop(pid, None)
        self._groups = known_groups(self._groups, [report])
        self._retired = retire((self._retired, report), self._groups)
        self._retired_cpu_seconds += report.get("cpuSeconds", 0.0)
        planned = stopping or report["draining"] or self._leaving > 0
        self._leaving = max(0, self._leaving - 1)
        if not planned:
            self.restarts += 1
            logger.warning("worker %d ended without being asked to", pid)
        kept = Retired(
            self._retired, self._retired_cpu_seconds, self.restarts, self._groups, pid, float(report["time"])
        )
        save_retired(kept, self.run_dir)
        self.run_dir.report(pid).unlink(missing_ok=True)


def process_started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot; None if it is gone or only waits to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None if Path("/proc/self/stat").exists() else _pid_taken(pid)
    return None if fields[0] in (b"Z", b"X") else int(fields[_STAT_STARTED])


def _pid_taken(pid: int) -> int | None:
    """Without /proc: only whether the pid is taken."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    return pid


def _load(path: Path) -> dict[str, Any] | None:
    try:
        report: dict[str, Any] = orjson.loads(path.read_bytes())
        _to_worker(report)
    except FileNotFoundError:
        return None
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        logger.error("report %s is unreadable, the last one stays: %r", path.name, error)
        return None
    return report


def _keep_closed(former: Report, report: Mapping[str, Any]) -> Report:
    """A worker that shuts down unregisters its pools; what they counted must not vanish with them."""
    closed = {
        name: {**pool, "inUse": 0, "open": 0, "waiting": 0}
        for name, pool in former.get("pools", {}).items()
        if name not in report["pools"]
    }
    return {**report, "pools": {**closed, **report["pools"]}} if closed else report


def _to_worker(report: Report) -> Worker:
    return Worker(
        pid=report["pid"],
        step=report["step"],
        reported=report["time"],
        ready=report["ready"],
        draining=report["draining"],
        pools={
            name: PoolUse(pool["inUse"], pool["open"], per_pod=pool["kind"] == PROCESSES)
            for name, pool in report["pools"].items()
        },
    )
