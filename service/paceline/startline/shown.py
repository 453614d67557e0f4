"""What `paceline serve` prints instead of starting: help, versions, the settings with their sources."""

import platform
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from paceline.serve.supervisor.sizing import Sizing
from paceline.settings import Settings
from paceline.startline.known import APPLICATION, variables
from paceline.startline.rows import Fate, Row
from paceline.startline.table import ROWS

_COLUMN: Final = 34
_WORKERS: Final = "PACELINE_WORKERS"
_HEAD: Final = """Usage: paceline serve MODULE:APP [OPTIONS]

Serve an application: one pod's process tree. Start lines of gunicorn and uvicorn work as they are; what is taken or
refused beside the options below is in docs/start-lines.md. Every setting has a PACELINE_* variable and a key in
paceline.toml; the command line wins over the environment, and that over files.
"""


def help_text() -> str:
    """`paceline serve --help`."""
    options = [each for each in ROWS if each.flags and each.fate in (Fate.SETTING, Fate.ACTION)]
    return "\n".join([_HEAD, "Options:", *(line for each in options for line in _option(each))]) + "\n"


def _option(row: Row) -> Iterator[str]:
    metavar = f" {row.metavar.rstrip('+')}" if row.metavar else ""
    spelled = ", ".join(row.flags) + metavar + (f" / {', '.join(row.off)}" if row.off else "")
    if len(spelled) < _COLUMN - 2:
        yield f"  {spelled:<{_COLUMN - 2}}{row.says}"
    else:
        yield f"  {spelled}"
        yield f"{'':<{_COLUMN}}{row.says}"


def version_text() -> str:
    """Paceline's and the servers' versions, and Python's, in one line."""
    servers = ", ".join(f"{name} {_version(name)}" for name in ("gunicorn", "uvicorn"))
    return f"paceline {_version('paceline')} ({servers}, Python {platform.python_version()})\n"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def settings_text(
    application: str | None, settings: Settings, written: Mapping[str, str], sizing: Sizing | None = None
) -> str:
    """Each setting as `NAME = value  # source`; workers that are counted as `auto (N: why)`."""
    lines = [f"{APPLICATION} = {application or ''}"]
    for variable, (group, field) in variables().items():
        value = getattr(getattr(settings, group), field)
        if sizing is not None and variable == _WORKERS:
            value = f"auto ({sizing.workers}: {sizing.why})"
        said = written.get(variable, "default")
        source = "environment" if said == variable else said
        lines.append(f"{variable} = {_plain(value)!s:<30}  # {source}")
    return "\n".join(lines) + "\n"


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value).replace("\n", r"\n")
