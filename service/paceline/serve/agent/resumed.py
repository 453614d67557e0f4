"""The files that a restarted agent goes on from: how far a change is carried out, what workers that are gone counted.

What progress means is for `document/resuming.py`.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import orjson

from paceline.document.resuming import Saved, parse_saved
from paceline.errors import InvalidDocument
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


def save_progress(saved: Saved, run_dir: RunDir) -> None:
    """Before anything that follows from it is written."""
    write_atomically(run_dir.progress, orjson.dumps(saved.to_json()))


def load_progress(run_dir: RunDir) -> Saved | None:
    """What the former agent of this life saved; None where this is the first.

    Raises:
        InvalidDocument: it cannot be read. To begin anew beside living workers would not be safe.
    """
    try:
        return parse_saved(orjson.loads(run_dir.progress.read_bytes()))
    except FileNotFoundError:
        return None
    except orjson.JSONDecodeError as error:
        raise InvalidDocument(f"{run_dir.progress.name} is not what the agent writes: {error}") from error
