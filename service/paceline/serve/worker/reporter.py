"""A worker's side of live tuning: applies `effective.json` to the tunables, reports what it measured.

Level-based: the file names absolute values, so a worker that starts late or misses a step ends in the same state.
Whatever is wrong with a file, the worker keeps what it runs and goes on serving.
"""

import asyncio
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Final

import orjson

from paceline.document.model import Values
from paceline.errors import InvalidDocument, PoolError
from paceline.resources.admission.limiter import Admission
from paceline.resources.registry import Tunables
from paceline.serve.rundir import Effective, RunDir, stamp, write_atomically
from paceline.serve.worker.supervised import described
from paceline.telemetry.loop_lag import LoopLag
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

TUNING: Final = "tuning"
"""The task that follows the agent's values; the operator knows it by this name."""
POLL_SECONDS: Final = 0.1
_STARTING_POLL_SECONDS: Final = 0.02
_REPORT_SECONDS: Final = 1.0
_WEIGH_SECONDS: Final = 10.0

logger = logging.getLogger("paceline.serve")


@dataclass(frozen=True, slots=True)
class Measured:
    """What the reporter reads and what it tunes."""

    tunables: Tunables
    requests: RequestStats
    loop_lag: LoopLag
    tracing: Tracing
    unregistered: Callable[[], list[dict[str, Any]]] = list
    """Connections that no registered pool accounts for, in the shape of `/state`."""
    admission: Admission = field(default_factory=Admission)


class Reporter:
    """One a worker, made after fork; belongs to the worker's event loop. File access blocks, but shortly: tmpfs."""

    def __init__(
        self,
        run: RunDir,
        pid: int,
        measured: Measured,
        *,
        degraded: Callable[[], list[dict[str, str]]] = list,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """
        Args:
            degraded: background tasks that fail, in the shape of `/state`.
        """
        self._run = run
        self._pid = pid
        self._measured = measured
        self._degraded = degraded
        self._last_report: dict[str, Any] | None = None
        self._clock = clock
        self._effective = Effective(0, 0, Values())
        self._seen: tuple[int, int, int] | None = None
        self._memory_bytes = 0
        self._ready = self._draining = self._appeared = False
        self._due = clock()
        self._last_warning = ""

    @property
    def generation(self) -> int:
        """The generation that this worker runs; 0 before any document."""
        return self._effective.generation

    async def follow(self) -> None:
        """Follows the file until cancelled, and reports at once what it applied.

        Raises:
            PoolError: a pool does not take its limit: this worker still reports its former generation.
        """
        while True:
            if self.refresh():
                self.write()
            await asyncio.sleep(POLL_SECONDS)

    async def keep_reporting(self) -> None:
        """Reports once a second until cancelled."""
        while True:
            if self._clock() >= self._due:
                self.write()
            await asyncio.sleep(POLL_SECONDS)

    async def measure_memory(self) -> None:
        """Keeps the memory figure fresh until cancelled; the kernel takes milliseconds for it, so in a thread."""
        while True:
            self._memory_bytes = await asyncio.to_thread(private_bytes)
            await asyncio.sleep(_WEIGH_SECONDS)

    async def settle(self, stopping: Callable[[], bool]) -> None:
        """Returns once this worker runs the values in force: not before the agent has spoken, unless `stopping`."""
        while not stopping():
            with suppress(PoolError):  # the task that follows the file meets it, too, and tells of it
                if self.refresh() or self._seen:
                    return
            await asyncio.sleep(_STARTING_POLL_SECONDS)

    def accepting(self) -> None:
        """The worker takes connections now."""
        self._ready = True
        self.write()

    def draining(self) -> None:
        """The worker takes no more connections."""
        self._ready, self._draining = False, True
        self.write()

    def refresh(self) -> bool:
        """Applies the file if it was written since the last time; True if so."""
        if not self._appeared:
            # Whoever writes the file and then looks who is there must see this worker, or be seen by it.
            self.write()
        fresh = stamp(self._run.effective)
        if fresh is None or fresh == self._seen:
            return False
        try:
            effective = self._run.read_effective()
        except (InvalidDocument, OSError) as error:
            self._warn_once(f"what runs stays: {error}")
            return False
        if effective is None:
            return False
        self._apply(effective)
        self._seen = fresh
        return True

    def write(self) -> None:
        """Writes the report now; the next is due in a second. What goes wrong is logged, not raised."""
        self._appeared = True
        self._due = self._clock() + _REPORT_SECONDS
        try:
            self._last_report = self._report()
            self._store(self._last_report)
        except Exception as error:
            # A pool of the application that cannot be asked must not end live tuning for good.
            logger.exception("a report failed; trying again in %g s", _REPORT_SECONDS)
            if self._last_report is not None:  # old measures under their old time, and why there are no others
                failing = {"task": "reports", "error": described(error), "since": datetime.now(UTC).isoformat()}
                self._store({**self._last_report, "degraded": [*self._degraded(), failing]})

    def _store(self, report: dict[str, Any]) -> None:
        try:
            write_atomically(self._run.report(self._pid), orjson.dumps(report))
        except OSError as error:
            self._warn_once(f"cannot write the worker's report: {error}")

    def _apply(self, effective: Effective) -> None:
        former, began = self._effective, self._clock()
        self._measured.tunables.apply(effective.values)
        self._effective = effective  # not before: what is reported as run is the ack
        self._measured.admission.set_bounds(effective.values.admission)
        if effective.generation != former.generation:
            self._measured.tracing.config_applied(
                generation=effective.generation,
                policy=effective.policy,
                old=former.values.to_json(),
                new=effective.values.to_json(),
                traceparent=effective.traceparent,
                seconds=self._clock() - began,
            )

    def _report(self) -> dict[str, Any]:
        measured = self._measured
        tuned = measured.tunables.report()
        return {
            "pid": self._pid,
            "step": self._effective.step,
            "generation": self._effective.generation,
            "ready": self._ready,
            "draining": self._draining,
            "time": self._clock(),
            "inFlight": measured.requests.in_flight,
            "streams": measured.requests.streams,
            "webSockets": measured.requests.web_sockets,
            "memoryBytes": self._memory_bytes,
            "cpuSeconds": sum(os.times()[:4]),
            "requests": measured.requests.report(),
            "exemplars": measured.requests.exemplars(),
            "outcomes": measured.requests.outcomes(),
            "loopLag": measured.loop_lag.report(),
            "admission": measured.admission.report(),
            "unregistered": measured.unregistered(),
            "degraded": self._degraded(),
            **tuned,
            "startValues": measured.tunables.start_values(),
            "spans": {"exported": measured.tracing.exported, "dropped": measured.tracing.dropped},
            "unknown": self._effective.values.unknown(tuned),
        }

    def _warn_once(self, message: str) -> None:
        if message != self._last_warning:
            logger.error(message)
            self._last_warning = message


def private_bytes() -> int:
    """Memory that this process shares with nobody: what one more worker of its kind costs after preloading."""
    total = 0
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines():
        if line.startswith("Private_"):
            total += int(line.split()[1]) * 1024
    return total
