"""`paceline load`: one run with progress on stderr and the result on stdout."""

import asyncio
import signal
from contextlib import suppress
from typing import Final

import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from paceline.durations import format_seconds
from paceline.load.openloop import OpenLoop, Plan
from paceline.load.results import Summary, Window

_PROGRESS_SECONDS: Final = 1.0
_INTERRUPTED: Final = 130


def drive(plan: Plan, *, as_json: bool) -> int:
    """Runs the plan and prints what it saw; Ctrl-C ends it early, with the same report.

    Returns the exit status: 0 only if the rate was kept and nothing failed, 130 after Ctrl-C.
    """
    summary, interrupted = _run(plan, Console(stderr=True, quiet=as_json))
    output = Console()
    if as_json:
        output.out(orjson.dumps(summary.to_json()).decode(), highlight=False)
    else:
        _print_summary(output, summary)
    if interrupted:
        return _INTERRUPTED
    return 0 if summary.succeeded else 1


def _run(plan: Plan, progress: Console) -> tuple[Summary, bool]:
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_drive(plan, progress))
    return uvloop.run(_drive(plan, progress))


async def _drive(plan: Plan, progress: Console) -> tuple[Summary, bool]:
    load = OpenLoop(plan)
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, load.stop)
    reporter = asyncio.create_task(_report(load, progress))
    try:
        return await load.run(), load.stopped
    finally:
        reporter.cancel()
        with suppress(asyncio.CancelledError):
            await reporter


async def _report(load: OpenLoop, progress: Console) -> None:
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        progress.print(describe(load.window(), load.outstanding), style="dim", highlight=False)


def describe(window: Window, outstanding: int) -> str:
    """One line for one stretch of a run."""
    parts = [f"{window.succeeded / window.seconds:.0f}/s"]
    percentiles = (("p50", window.p50), ("p95", window.p95), ("p99", window.p99))
    parts += [f"{name} {format_seconds(value)}" for name, value in percentiles if value is not None]
    parts += [f"outstanding {outstanding}", f"failed {window.failed}"]
    return "  ".join(parts)


def _print_summary(output: Console, summary: Summary) -> None:
    total = summary.total
    table = Table(box=SIMPLE_HEAD, title=f"{summary.url}  {summary.rate:g} requests/s", title_justify="left")
    table.show_header = False
    table.add_row("succeeded", f"{total.succeeded} of {summary.planned} planned")
    table.add_row("failed", "; ".join(f"{count} × {kind}" for kind, count in total.failures.items()) or "0")
    table.add_row("rate", "kept" if summary.kept_rate else f"missed: {summary.sent_in_time} left in time")
    percentiles = {
        "p50": total.p50, "p90": summary.p90, "p95": total.p95, "p99": total.p99, "p99.9": summary.p999,
        "max": summary.maximum,
    }  # fmt: skip
    for name, value in percentiles.items():
        table.add_row(name, "-" if value is None else format_seconds(value))
    output.print(table)
