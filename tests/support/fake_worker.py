"""A worker at the level of files: follows `effective.json` and reports, without an application.

    python fake_worker.py RUN_DIR [--hold POOL=COUNT] [--weight BYTES]

`--hold` keeps so many connections whatever the limit becomes. It drains on SIGTERM, as the real one does.
"""

import argparse
import os
import signal
import time
from pathlib import Path
from typing import Any

import orjson
from paceline.serve.rundir import RunDir, write_atomically
from paceline.telemetry.histogram import Histogram

START = {"pools": {"postgres": 5}, "caches": {"responses": {"ttlSeconds": 60.0}}}


def report_of(
    pid: int,
    *,
    step: int = 1,
    generation: int = 0,
    ready: bool = True,
    draining: bool = False,
    count: int = 1,
    in_use: int = 0,
    limit: int = 5,
    ttl_seconds: float = 60.0,
    weight: int = 50_000_000,
    **replaced: Any,
) -> dict[str, Any]:
    """A report in the shape that ARCHITECTURE.md gives."""
    durations = Histogram()
    for _ in range(count):
        durations.record(0.01)
    pool = {"kind": "asyncpg", "limit": limit, "cap": 20, "inUse": in_use, "open": in_use, "waiting": 0, "timeouts": 0}
    histograms = {"wait": Histogram().to_json(), "hold": durations.to_json(), "serverMaxConnections": 100}
    cache = {"ttlSeconds": ttl_seconds, "hits": 1, "misses": 1, "staleHits": 0, "fetch": durations.to_json()}
    report = {
        "pid": pid,
        "step": step,
        "generation": generation,
        "ready": ready and not draining,
        "draining": draining,
        "time": time.monotonic(),
        "inFlight": 0,
        "memoryBytes": weight,
        "requests": [{"group": "GET /", "count": count, "errors": 0, "duration": durations.to_json()}],
        "loopLag": durations.to_json(),
        "pools": {"postgres": {**pool, **histograms}},
        "caches": {"responses": cache},
        "startValues": START,
        "unknown": [],
    }
    return report | replaced


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--hold", type=int, default=0)
    parser.add_argument("--weight", type=int, default=50_000_000)
    options = parser.parse_args()
    run = RunDir(options.run_dir)
    pid, drained = os.getpid(), []
    signal.signal(signal.SIGTERM, lambda *_: drained.append(True))

    def write(**report: Any) -> None:
        whole = report_of(pid, in_use=options.hold, weight=options.weight, **report)
        write_atomically(run.report(pid), orjson.dumps(whole))

    write(step=0, ready=False)
    while not drained:
        effective = run.read_effective()
        if effective is not None:
            limit = effective.values.pools.get("postgres", 5)
            write(step=effective.step, generation=effective.generation, limit=limit)
        time.sleep(0.02)
    write(step=effective.step if effective else 0, draining=True)


if __name__ == "__main__":
    main()
