"""One log for all processes of a pod: JSON lines with stable fields, or text where a person watches.

    {"time", "level", "logger", "message", "process", "pid", "generation"?, "requestId"?, "traceId"?, "spanId"?,
     "exception"?, "stack"?, …fields given by `extra`}

The application's own configuration wins. What Paceline and its servers log goes to stderr and to no handler of the
application, unless it gives one of their loggers a handler. What the application logs comes here only where nothing
else takes it: as the standard library's handler of last resort, which `basicConfig` and `dictConfig` do not see.
"""

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TextIO

from paceline.settings import Settings
from paceline.telemetry.log_lines import JsonLines, LineHandler, TextLines, UnhandledOnly
from paceline.telemetry.log_text import text_of

current_request: ContextVar[Mapping[str, Any] | None] = ContextVar("paceline_current_request", default=None)
"""The ASGI scope of the request that is being handled, from which a log line takes the request id."""

_OWN: Final = "paceline"
_SERVERS: Final = ("gunicorn", "uvicorn")
_WARNINGS: Final = "py.warnings"
_MAX_REQUEST_ID: Final = 128


_handlers: Final[list[LineHandler]] = []
"""The one of this process, once it is configured."""
_adopted: Final[list[logging.Handler]] = []
"""Handlers that the application gave to loggers of the servers; any other there is a server's default."""


class _OwnLevel(int):
    """A level that we have set: it gives way, while the same number set by the application stays."""


class _Root(logging.RootLogger):
    """The root logger; its level is ours until the application gives it a handler."""

    def addHandler(self, handler: logging.Handler) -> None:  # noqa: N802 - the standard library's name
        super().addHandler(handler)
        _give_way()


def configure(
    role: str,
    settings: Settings,
    *,
    generation: Callable[[], int] | None = None,
    trace_fields: Callable[[], Mapping[str, str]] = dict,
    stream: TextIO | None = None,
) -> None:
    """Sends the log of this process to stderr. Call it again after fork, with the new role.

    Args:
        role: what this process is: supervisor, agent, arbiter or worker.
        generation: the generation it runs, where it knows one.
        trace_fields: `traceId` and `spanId` of the current span, in a process that traces.
        stream: stderr if not given.
    """
    stream = stream or sys.stderr
    level = logging.getLevelNamesMapping()[settings.serve.log_level.upper()]
    text = _is_text(settings, stream)

    def context() -> dict[str, Any]:
        known = {} if generation is None else {"generation": generation()}
        given = request_id(current_request.get())
        return {**known, **({"requestId": given} if given else {}), **trace_fields()}

    _wait_for(stream)
    handler = LineHandler(stream)
    handler.setFormatter(TextLines(role) if text else JsonLines(role, context))
    _handlers[:] = [handler]
    logging.lastResort = handler
    _set_levels(level)
    logging.captureWarnings(True)
    for name in _SERVERS:
        for logger in (logging.getLogger(name), *_children(name)):
            logger.handlers = [each for each in logger.handlers if each in _adopted]
    _attach_all(handler)
    if sys.excepthook in (sys.__excepthook__, _log_uncaught):  # else it is the application's
        sys.excepthook = _log_uncaught


def _is_text(settings: Settings, stream: TextIO) -> bool:
    wanted = settings.serve.log_format
    return wanted == "text" or (wanted == "auto" and stream.isatty())


def access_log_form(settings: Settings) -> str | None:
    """json or common; None where no access log is wanted."""
    wanted = settings.middleware.access_log
    if wanted == "auto":
        return "common" if _is_text(settings, sys.stderr) else "json"
    return None if wanted == "off" else wanted


def settle() -> None:
    """Puts right what the application's configuration did to our loggers by the way, such as disabling them.

    Call it whenever the application may have configured its own: after loading it, and after its startup.
    """
    for name in _SERVERS:
        for logger in (logging.getLogger(name), *_children(name)):
            _adopted.extend(each for each in _theirs(logger) if each not in _adopted)
    for handler in _handlers:
        _attach_all(handler)


def reopen_files() -> None:
    """Opens every log file of this process anew, by name: a file that was renamed or removed gets no more lines.

    Ours go to stderr; the files are those that the application's own logging configuration names.
    """
    loggers = [logging.getLogger(), *logging.Logger.manager.loggerDict.values()]
    handlers = {handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers}
    for handler in handlers:
        if isinstance(handler, logging.FileHandler) and handler.stream is not None:
            handler.acquire()
            try:
                former, handler.stream = handler.stream, None  # opened by the next line
                handler.mode = "a"  # what is there by now was written by another process
                former.close()
            finally:
                handler.release()


@contextmanager
def server_loggers_kept() -> Iterator[None]:
    """Around code of gunicorn or uvicorn that configures their loggers: what the application gave them stays."""
    names = ("gunicorn.error", "gunicorn.access", "uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger, [*logger.handlers], logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = [*handlers], propagate
        logger.setLevel(level)


def access_log_wanted() -> bool:
    """Whether the application has given uvicorn's access log a handler: a line a request is its choice alone."""
    return bool(_theirs(logging.getLogger("uvicorn.access")))


def request_id(scope: Mapping[str, Any] | None) -> str | None:
    """The id the application gave the request (`request.state.request_id`), else the one that came with it."""
    if scope is None:
        return None
    given = scope.get("state", {}).get("request_id")
    if given is not None:
        return text_of(given)
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return bytes(value[:_MAX_REQUEST_ID]).decode("latin-1")
    return None


def _wait_for(stream: TextIO) -> None:
    """A line waits where its reader is slow: a stream that does not would lose it, or half of it."""
    with suppress(OSError, ValueError, AttributeError):
        os.set_blocking(stream.fileno(), True)


def _attach_all(handler: LineHandler) -> None:
    for name in (_OWN, *_SERVERS):
        top = logging.getLogger(name)
        _attach(top, handler)
        for child in _children(name):
            _settle_child(child, top)
    _attach(logging.getLogger(_WARNINGS), UnhandledOnly(handler))
    logging.getLogger(_WARNINGS).propagate = True
    if _theirs(logging.getLogger()):
        _give_way()
    _spare_their_handlers()


def _attach(logger: logging.Logger, handler: logging.Handler) -> None:
    """Gives the logger our handler, unless the application gave it one of its own."""
    logger.disabled = False
    theirs = _theirs(logger)
    # A new list: an application may have given this one to another logger, and any sequence to this.
    logger.handlers = theirs or [handler]
    logger.propagate = logger.propagate and bool(theirs)


def _theirs(logger: logging.Logger) -> list[logging.Handler]:
    """The handlers that are neither ours nor a server's default nor the library's placeholder."""
    ours = (LineHandler, UnhandledOnly, logging.NullHandler)
    return [each for each in logger.handlers if not isinstance(each, ours) and not hasattr(each, "_gunicorn")]


def _children(name: str) -> list[logging.Logger]:
    known = list(logging.root.manager.loggerDict.items())
    return [each for key, each in known if key.startswith(f"{name}.") and isinstance(each, logging.Logger)]


def _settle_child(child: logging.Logger, top: logging.Logger) -> None:
    child.disabled = False
    if not _theirs(child):
        child.handlers = []
        child.propagate = True
    elif not _theirs(top):  # what the application's handler takes must not come a second time by ours
        child.propagate = False
        if child.level == logging.NOTSET:
            child.setLevel(_OwnLevel(logging.INFO))


def _set_levels(level: int) -> None:
    root = logging.getLogger()
    if isinstance(root.level, _OwnLevel) or not (isinstance(root, _Root) or _theirs(root)):
        root.__class__ = _Root
        root.setLevel(_OwnLevel(level))
    # What the servers tell below a warning, Paceline tells in its own words.
    servers = level if level < logging.INFO else max(level, logging.WARNING)
    for name, wanted in ((_OWN, level), *((name, servers) for name in _SERVERS)):
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET or isinstance(logger.level, _OwnLevel):
            logger.setLevel(_OwnLevel(wanted))


def _give_way() -> None:
    if isinstance(logging.root.level, _OwnLevel):
        logging.root.setLevel(logging.WARNING)


def _spare_their_handlers() -> None:
    """A handler of the application's gets what it would get without us, where no logger above it has a level.

    So a logger that has one starts at the root's own default instead of ours, until anybody sets a level.
    """
    ours = isinstance(logging.root.level, _OwnLevel)
    for logger in list(logging.root.manager.loggerDict.values()):
        if not isinstance(logger, logging.Logger) or logger.name.partition(".")[0] in (_OWN, *_SERVERS):
            continue
        if logger.level == logging.NOTSET and ours and _theirs(logger) and _level_is_roots(logger):
            logger.setLevel(_OwnLevel(logging.WARNING))
        elif isinstance(logger.level, _OwnLevel) and not ours:
            logger.setLevel(logging.NOTSET)


def _level_is_roots(logger: logging.Logger) -> bool:
    above: logging.Logger | None = logger
    while above is not None and above.level == logging.NOTSET:
        above = above.parent
    return above is logging.root


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger(_OWN).critical("uncaught exception", exc_info=(kind, error, traceback))
