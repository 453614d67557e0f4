"""`paceline serve`: resolves the start line, says what was taken without effect, and hands over to the supervisor."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from paceline.errors import UsageError
from paceline.serve.supervisor import launch
from paceline.serve.target import complete
from paceline.settings import load_settings
from paceline.startline import shown
from paceline.startline.resolve import Start, resolve
from paceline.startline.sources import WEB_CONCURRENCY


def serve(arguments: Sequence[str]) -> None:
    """Replaces this process by the pod's first one, unless only something is to be printed.

    Raises:
        UsageError: one line that says what is wrong or not offered.
    """
    start = resolve(arguments, os.environ, Path.cwd())
    if "help" in start.asked:
        sys.stdout.write(shown.help_text())
    elif "version" in start.asked:
        sys.stdout.write(shown.version_text())
    elif "print" in start.asked:
        _apply(start)
        sizing = launch.choose_workers(os.environ, start.written)
        settings = load_settings(start.written)
        sys.stdout.write(shown.settings_text(start.application, settings, start.written, sizing))
    elif start.application is None:
        raise UsageError(
            "no application is named; write paceline serve MODULE:APP, for instance shop.main:app, or `app` in"
            " paceline.toml"
        )
    else:
        _apply(start)
        launch.serve(start.application, start.written, start.notes, start.warnings)


def prepare(application: str) -> str:
    """For `paceline check`: the application's full name, with the settings of files and environment in force.

    Raises:
        UsageError: one line that says what is wrong or not offered.
    """
    start = resolve([application], os.environ, Path.cwd())
    _apply(start)
    return complete(start.application or application)


def _apply(start: Start) -> None:
    os.environ.update({**start.environment, **start.settings})
    if not os.environ.get(WEB_CONCURRENCY, "1").isdigit():
        del os.environ[WEB_CONCURRENCY]  # gunicorn and uvicorn read it when they are imported, and want a number
    if start.folder is not None:
        try:
            os.chdir(start.folder)
        except OSError as error:
            raise UsageError(f"cannot go to the folder {start.folder} (--chdir): {error.strerror}") from error
