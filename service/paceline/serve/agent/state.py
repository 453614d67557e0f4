"""Builds the pod's `/state` from what the last pass found: docs/schemas/state.v1.schema.json. Decides nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from paceline import __version__
from paceline.document.model import Values
from paceline.document.pod import Memory
from paceline.serve.agent.capacity import Status
from paceline.serve.agent.reports import Reports
from paceline.serve.agent.totals import Report
from paceline.settings import ServeSettings
from paceline.telemetry.cgroup import Cpu

SCHEMA: Final = "paceline.dev/state/v1"
ACCEPTS: Final = ("tuning/v1",)


@dataclass(frozen=True, slots=True)
class Clocks:
    """One moment on both clocks (monotonic seconds, wall clock), and when the pod started on each.

    What the pod started at is read once: it names this life of the pod, and must not move with the wall clock or with
    a pause between two readings.
    """

    now: float
    wall: datetime
    started: float
    started_wall: datetime

    def at(self, monotonic: float) -> str:
        """A monotonic moment as RFC 3339 in UTC."""
        return _rfc3339(self.wall - timedelta(seconds=self.now - monotonic))

    @property
    def started_at(self) -> str:
        """The same string for all of the pod's life."""
        return _rfc3339(self.started_wall)


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Usage:
    """What the pod uses, and may."""

    cpu: Cpu
    memory: Memory
    cores: int | None = None
    """Of the node that the pod may run on."""


def build_state(
    settings: ServeSettings,
    status: Status,
    reports: Reports,
    usage: Usage,
    clocks: Clocks,
    groups: Sequence[str] = (),
) -> dict[str, Any]:
    """The whole document; counters are cumulative since the pod started.

    `groups` are request groups, and patterns of them, that are shown by name whatever their rank; so are those that the
    document names.
    """
    return {
        "schema": SCHEMA,
        "version": __version__,
        "accepts": list(ACCEPTS),
        "pod": {"name": settings.pod_name, "uid": settings.pod_uid},
        "startedAt": clocks.started_at,
        "uptimeSeconds": round(clocks.now - clocks.started, 3),
        "tuning": _tuning(status, clocks),
        "values": _values(status, status.progress.workers, status.progress.values),
        "startValues": _values(status, status.start.workers, status.start),
        "workers": [_worker(report, clocks.now) for report in reports.living],
        **reports.totals((*groups, *status.routes)),
        "cpu": {
            "limit": usage.cpu.limit_cores,
            "cores": usage.cores,
            "usageSeconds": usage.cpu.usage_seconds,
            "periods": usage.cpu.periods,
            "throttledPeriods": usage.cpu.throttled_periods,
        },
        "memory": {
            "limitBytes": usage.memory.limit_bytes,
            "usedBytes": usage.memory.used_bytes,
            "perWorkerBytes": usage.memory.per_worker_bytes or 0,
        },
        "restarts": reports.restarts,
    }


def _tuning(status: Status, clocks: Clocks) -> dict[str, Any]:
    desired = status.progress.desired
    return {
        "generation": desired.generation,
        "digest": desired.digest,
        "appliedAt": None if status.applied_at is None else clocks.at(status.applied_at),
        "pending": list(status.pending),
        "clamped": [clamp.to_json() for clamp in status.clamped],
        "unknown": status.registered.unknown(desired.values) if status.served else [],
        "refused": None if status.refused is None else status.refused.to_json(),
    }


def _values(status: Status, workers: int, values: Values) -> dict[str, Any]:
    known = status.registered.only_known(values) if status.served else values
    return {**known.to_json(), "workers": workers}


def _worker(report: Report, now: float) -> dict[str, Any]:
    same = ("pid", "generation", "ready", "draining", "inFlight", "memoryBytes")
    lasting = {key: report.get(key, 0) for key in ("streams", "webSockets")}
    age = round(max(0.0, now - report["time"]), 3)
    return {**{key: report[key] for key in same}, **lasting, "heartbeatAgeSeconds": age}
