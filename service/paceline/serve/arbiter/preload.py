"""Loads server and application, and finds what must not be alive when a process forks: threads and connected sockets.

Forked children would share the connection and miss the thread, and a lock the thread held would stay locked for ever.
"""

import fcntl
import importlib
import os
import shlex
import socket
import stat
import sys
import threading
import traceback
from contextlib import suppress
from functools import reduce
from pathlib import Path
from typing import Any, Final

from paceline.asgi import ASGIApp
from paceline.errors import UsageError
from paceline.serve.arbiter.log_threads import log_threads
from paceline.serve.arbiter.native_threads import described, rehearse_fork
from paceline.serve.arbiter.suggestions import check_callable, no_such_attribute
from paceline.serve.import_path import extend_import_path
from paceline.serve.target import Target, parse

_SERVER: Final = (
    "concurrent.futures.thread",
    "gunicorn.glogging",
    "uvicorn.lifespan.on",
    "uvicorn.loops.uvloop",
    "uvicorn.protocols.websockets.auto",
)
"""What gunicorn and uvicorn import only once they serve: shared if it is there before the fork, and sooner there."""
_ANYIO: Final = "anyio._backends._asyncio"
"""What anyio imports when it is first asked for something."""
_STANDARD_STREAMS: Final = 3
_MESSAGE_LIMIT: Final = 300


def load_server() -> None:
    """Imports what every worker needs to serve. Starts nothing."""
    for name in _SERVER:
        importlib.import_module(name)


def load_backends() -> None:
    """Imports what the libraries that are loaded by now would import in every worker. Starts nothing."""
    if "anyio" in sys.modules:
        with suppress(ModuleNotFoundError):
            importlib.import_module(_ANYIO)


def load_application(target: str) -> ASGIApp:
    """Imports MODULE:APP, from the folders of `--app-dir`, the current one or the Python path, and calls a factory.

    Raises:
        UsageError: one line naming the module, what is wrong, and what to do.
    """
    named = parse(target)
    extend_import_path()
    module = _import(named.module)
    try:
        application = reduce(getattr, named.path, module)
    except AttributeError as error:
        raise UsageError(no_such_attribute(named, module)) from error
    if named.called:
        application = _call(target, named, application)
    check_callable(target, application)
    return application  # type: ignore[no-any-return]


def _call(target: str, named: Target, factory: Any) -> Any:
    try:
        return factory(*named.arguments, **named.keywords)
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        message, expression = " ".join(str(error).split())[:_MESSAGE_LIMIT], target.partition(":")[2]
        raise UsageError(
            f"{target} fails: {type(error).__name__}: {message} ({Path(last.filename).name}, line {last.lineno});"
            f" see the whole error with: python -c {_quoted(f'import {named.module} as m; m.{expression}')}"
        ) from error


def _quoted(code: str) -> str:
    """For a shell: in double quotes unless it has some, or what means something within them."""
    return shlex.quote(code) if set(code) & set('"$`\\!') else f'"{code}"'


def _import(name: str) -> Any:
    # A module may call sys.exit when a setting is missing: that is a failed import like any other.
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and f"{name}.".startswith(f"{error.name}."):
            raise UsageError(
                f"there is no module {error.name!r} here or on the Python path;"
                " start in the folder that contains it, or name that folder with --app-dir or PYTHONPATH"
            ) from error
        raise _import_failed(name, error) from error
    except (Exception, SystemExit) as error:
        raise _import_failed(name, error) from error


def _import_failed(name: str, error: BaseException) -> UsageError:
    said = error.msg if isinstance(error, SyntaxError) else str(error)
    message = " ".join(said.split())[:_MESSAGE_LIMIT]
    last = traceback.extract_tb(error.__traceback__)[-1]
    file, line = (error.filename, error.lineno) if isinstance(error, SyntaxError) else (last.filename, last.lineno)
    return UsageError(
        f"module {name} does not import: {type(error).__name__}: {message} ({Path(file or name).name}, line {line});"
        f' see the whole error with: python -c "import {name}"'
    )


def fork_hazards() -> list[str]:
    """What is alive in this process that a fork would break, one phrase each; empty means preloading is safe."""
    return [*(f"thread {name!r}" for name in alive_threads()), *(f"connection to {peer}" for peer in connections())]


def alive_threads() -> list[str]:
    """Names of all threads but the caller's and those that stand a fork: log threads, which are restarted after it, and
    those of native libraries that prepare for one.
    """
    known = {thread.native_id: thread.name for thread in threading.enumerate()}
    tasks = _tasks()
    if tasks.keys() - known.keys():
        rehearse_fork()
        tasks = _tasks()
    names = [known.get(number) or _native_name(task) for number, task in sorted(tasks.items())]
    return [name for name in names if name]


def _tasks() -> dict[int, Path]:
    tasks = {int(task.name): task for task in Path("/proc/self/task").iterdir()}
    del tasks[threading.get_native_id()]
    for number in log_threads():
        tasks.pop(number, None)
    return tasks


def _native_name(task: Path) -> str | None:
    try:
        return described((task / "comm").read_text().strip())
    except OSError:  # it ended since the folder was read
        return None


def connections() -> list[str]:
    """Peers of the connected stream sockets that this process opened: `HOST:PORT` or a path."""
    peers = []
    for entry in Path("/proc/self/fd").iterdir():
        # Standard streams may be sockets of whoever started us; those are meant to be shared.
        if int(entry.name) >= _STANDARD_STREAMS and (peer := _peer(entry)):
            peers.append(peer)
    return sorted(peers)


def _peer(descriptor: Path) -> str | None:
    try:
        if not os.readlink(descriptor).startswith("socket:"):
            return None
        with socket.socket(fileno=os.dup(int(descriptor.name))) as connection:
            if connection.type != socket.SOCK_STREAM:
                return None
            name = connection.getpeername()
    except OSError:  # not connected, or closed since the folder was read
        return None
    if isinstance(name, tuple):
        return f"{name[0]}:{name[1]}"
    # An unnamed peer is a pair of sockets within this process, such as an event loop wakes itself with.
    return os.fsdecode(name) or None


def open_files() -> list[str]:
    """Regular files that this process has open, except for appending: forked processes share the position in them."""
    return sorted({path for entry in Path("/proc/self/fd").iterdir() if (path := _positioned(entry))})


def _positioned(entry: Path) -> str | None:
    if int(entry.name) < _STANDARD_STREAMS:
        return None
    try:
        appends = fcntl.fcntl(int(entry.name), fcntl.F_GETFL) & os.O_APPEND
        regular = stat.S_ISREG(entry.stat().st_mode)
        return entry.readlink().as_posix() if regular and not appends else None
    except OSError:  # closed since the folder was read
        return None
