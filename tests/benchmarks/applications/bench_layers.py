"""An application behind Paceline's layers alone, to run under plain gunicorn.

BENCH_TARGET names it; there is tracing where OTEL_EXPORTER_OTLP_ENDPOINT is set. gunicorn loads this after fork, as
`Tracing` wants it.
"""

import asyncio
import os
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
from paceline.middleware import instrument
from paceline.settings import load_settings
from paceline.telemetry.loop_lag import LoopLag
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

requests, loop_lag = RequestStats(), LoopLag()
settings = load_settings()
measured = instrument(
    import_module(os.environ["BENCH_TARGET"]).app,
    settings.middleware,
    requests=requests,
    tracing=Tracing.from_settings(settings),
    generation=lambda: 17,
).handle
tasks: list[asyncio.Task[None]] = []
report = Path(tempfile.mkdtemp(prefix="paceline-bench-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))


async def app(scope: Any, receive: Any, send: Any) -> None:
    if not tasks:
        tasks.append(asyncio.create_task(loop_lag.run()))
        tasks.append(asyncio.create_task(_report()))
    await measured(scope, receive, send)


async def _report() -> None:
    """Once a second, as a worker does."""
    while True:
        await asyncio.sleep(1)
        content = orjson.dumps({"requests": requests.report(), "loopLag": loop_lag.report()})
        (report / "report.json").write_bytes(content)
