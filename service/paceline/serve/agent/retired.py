"""What workers that are gone have counted, in a file: so that a restarted agent's counters do not go back."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from paceline.serve.rundir import RunDir, write_atomically


@dataclass(frozen=True, slots=True)
class Retired:
    """The sums, and the last report that went into them: its file may still be there."""

    report: Mapping[str, Any]
    cpu_seconds: float
    restarts: int
    groups: tuple[str, ...]
    last_pid: int
    last_time: float


def save_retired(retired: Retired, run_dir: RunDir) -> None:
    """Before the file of the last report is removed."""
    wire = {name: getattr(retired, name) for name in Retired.__slots__}
    write_atomically(run_dir.retired, orjson.dumps(wire))


def load_retired(run_dir: RunDir) -> Retired | None:
    """What the former agent of this life saved; None where no worker had gone. Removes the report that is in it."""
    try:
        wire = orjson.loads(run_dir.retired.read_bytes())
        retired = Retired(**{**wire, "groups": tuple(wire["groups"])})
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError):
        return None
    last = run_dir.report(retired.last_pid)
    with suppress(OSError, orjson.JSONDecodeError, KeyError, TypeError):
        if orjson.loads(last.read_bytes())["time"] == retired.last_time:
            last.unlink()
    return retired
