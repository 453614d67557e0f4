"""The agent process: reads the tuning document, carries it out, merges workers' reports, serves the management port.

    python -m paceline.serve.agent

Reads PACELINE_*; the supervisor starts it before the arbiter. It stops by SIGTERM and never because of one bad pass.
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final

from paceline.document.pod import Memory
from paceline.errors import PacelineError, UsageError
from paceline.serve.addresses import parse_address
from paceline.serve.agent.capacity import Capacity
from paceline.serve.agent.management import ManagementServer, listen, management_app
from paceline.serve.agent.reports import Reports, process_started
from paceline.serve.agent.state import Clocks, Usage, build_state
from paceline.serve.processes.keeper import keep_process_pool
from paceline.serve.rundir import RunDir, take_calls
from paceline.settings import Settings, load_settings
from paceline.telemetry import logs
from paceline.telemetry.app_metrics import AppMetrics
from paceline.telemetry.cgroup import Cgroup, Cpu, cores, find_cgroup
from paceline.telemetry.metrics import METRICS

LOOK_SECONDS: Final = 0.05
UNREST_SECONDS: Final = 0.1
REST_SECONDS: Final = 1.0
_NOT_FOR_THE_AGENT: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGTTIN, signal.SIGTTOU)
"""Meant for servers; sent to all processes of a pod they would end or freeze this one."""

logger = logging.getLogger("paceline.serve")


async def run(settings: Settings) -> None:
    """Wires the agent and runs it until SIGTERM or SIGINT.

    Raises:
        UsageError: there is no run folder, or the management port is taken.
    """
    serve = settings.serve
    if serve.run_dir is None:
        raise UsageError("PACELINE_RUN_DIR is not set; start the pod with `paceline serve`")
    logs.configure("agent", settings)
    listening = listen(*parse_address(serve.management_bind, option="--management-bind"))
    run_dir = RunDir(serve.run_dir)
    run_dir.hold()
    calls = take_calls()
    reports = Reports(run_dir, process_started)
    reports.resume()
    cgroup = find_cgroup()
    started, started_wall = pod_started(run_dir, monotonic(), datetime.now(UTC))
    capacity = Capacity(serve, run_dir, reports, memory=lambda: read_memory(cgroup, reports), clock=monotonic)
    look = Guarded(capacity.run_pass)
    logs.configure("agent", settings, generation=lambda: capacity.status.progress.desired.generation)

    def state(groups: Sequence[str] | None) -> dict[str, Any]:
        look()
        usage = Usage(read_cpu(cgroup, reports), read_memory(cgroup, reports), cores())
        clocks = Clocks(monotonic(), datetime.now(UTC), started, started_wall)
        named = reports.groups if groups is None else groups
        return build_state(serve, capacity.status, reports, usage, clocks, named)

    def unready() -> str | None:
        look()
        return why_unready(run_dir, reports)

    app_metrics = AppMetrics(
        run_dir.metrics, alive=lambda pid: process_started(pid) is not None, reserved=[row.name for row in METRICS]
    )
    app = management_app(state=state, unready=unready, app_metrics=app_metrics, exemplars=reports.exemplars)
    server = ManagementServer(app, settings.http)
    stop = _stop_signal()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(sockets=[listening]))
        tasks.create_task(repeat(look, stop, news=capacity.has_news, changing=capacity.is_changing))
        tasks.create_task(keep_process_pool(run_dir, calls, stop))
        await stop.wait()
        server.stop()


def pod_started(run_dir: RunDir, now: float, wall: datetime) -> tuple[float, datetime]:
    """When the pod started, on both clocks; the same for an agent that was restarted."""
    with contextlib.suppress(OSError):
        began = datetime.fromtimestamp(run_dir.running.stat().st_mtime, UTC)
        if run_dir.progress.exists():
            return now - max(0.0, (wall - began).total_seconds()), began
        return now, began
    return now, wall


def why_unready(run_dir: RunDir, reports: Reports) -> str | None:
    """Why the pod must get no requests, or None if it may: a worker serves and nobody has told the pod to stop."""
    if run_dir.terminating.exists():
        return "the pod is terminating"
    if not any(report["ready"] for report in reports.living):
        return "no worker is ready yet"
    return None


def read_cpu(cgroup: Cgroup | None, reports: Reports) -> Cpu:
    """What the kernel says, where it limits this pod; else what workers say of themselves.

    A group without a limit may hold anything else: on a laptop all of a session.
    """
    with contextlib.suppress(OSError, ValueError, KeyError):
        if cgroup is not None and (cpu := cgroup.cpu()).limit_cores is not None:
            return cpu
    return Cpu(None, reports.cpu_seconds, 0, 0)


def read_memory(cgroup: Cgroup | None, reports: Reports) -> Memory:
    """What the kernel says, else what workers say of themselves; the heaviest worker is what one more will take."""
    weights = [report["memoryBytes"] for report in reports.living if report["memoryBytes"]]
    heaviest = max(weights, default=None)
    with contextlib.suppress(OSError, ValueError, KeyError):
        if cgroup is not None:
            memory = cgroup.memory()
            return Memory(memory.limit_bytes, memory.used_bytes, heaviest)
    return Memory(None, sum(weights), heaviest)


class Guarded:
    """A pass whose failure is said once, and changes nothing: the next one tries again."""

    def __init__(self, run_pass: Callable[[], None]) -> None:
        self._run_pass = run_pass
        self._last_warning = ""

    def __call__(self) -> None:
        try:
            self._run_pass()
            self._last_warning = ""
        except Exception as error:  # the edge of the process: whatever it is, what runs stays
            if repr(error) != self._last_warning:
                self._last_warning = repr(error)
                logger.exception("a pass failed; what runs stays, trying again")


async def repeat(
    look: Callable[[], None],
    stop: asyncio.Event,
    *,
    news: Callable[[], bool],
    changing: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """A pass when the document changed, each tenth of a second while something moves, and once a second at rest.

    A pass reads all that workers write; to see whether the document changed takes one `stat`.
    """
    while not stop.is_set():
        look()
        pause = UNREST_SECONDS if changing() else REST_SECONDS
        for _ in range(round(pause / LOOK_SECONDS)):
            await sleep(LOOK_SECONDS)
            if stop.is_set() or news():
                break


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    for number in _NOT_FOR_THE_AGENT:
        signal.signal(number, signal.SIG_IGN)
    return stop


def main() -> int:
    """Entry of the process; returns its exit status."""
    try:
        asyncio.run(run(load_settings()))
    except PacelineError as error:
        sys.stderr.write(f"paceline: error: {error}\n")
        return error.exit_status
    return 0
