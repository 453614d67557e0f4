"""The file that a restarted agent resumes from. What it means is for `document/resuming.py`."""

import orjson

from paceline.document.resuming import Saved, parse_saved
from paceline.errors import InvalidDocument
from paceline.serve.rundir import RunDir, write_atomically


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
