"""One log for all processes of a pod: JSON lines with stable fields, or text where a person watches.

    {"time", "level", "logger", "message", "process", "pid", "generation"?, "requestId"?, "traceId"?, "spanId"?,
     "exception"?, …fields given by `extra`}

Standard logging only: the application's own configuration stays in force where it has one.
"""

import logging
import sys
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Final, TextIO

import orjson

from paceline.settings import Settings

current_request: ContextVar[Mapping[str, Any] | None] = ContextVar("paceline_current_request", default=None)
"""The ASGI scope of the request that is being handled, from which a log line takes the request id."""

_SERVERS: Final = ("gunicorn.error", "uvicorn", "uvicorn.error")
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_MAX_REQUEST_ID: Final = 128
_QUIET_SECONDS: Final = 60.0


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
    wanted = settings.serve.log_format
    text = wanted == "text" or (wanted == "auto" and stream.isatty())
    handler = _Handler(stream)
    handler.setFormatter(_Text(role) if text else _Json(role, generation, trace_fields))
    handler.addFilter(_Repeats())
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _Handler)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    for name in _SERVERS:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)
    sys.excepthook = _log_uncaught


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


class _Handler(logging.StreamHandler[TextIO]):
    """Marks the handler as ours, so that `configure` replaces no other."""


class _Json(logging.Formatter):
    def __init__(
        self, role: str, generation: Callable[[], int] | None, trace_fields: Callable[[], Mapping[str, str]]
    ) -> None:
        super().__init__()
        self._role = role
        self._generation = generation
        self._trace_fields = trace_fields

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": self._role,
            "pid": record.process,
        }
        if self._generation is not None:
            line["generation"] = self._generation()
        if known := request_id(current_request.get()):
            line["requestId"] = known
        line |= self._trace_fields()
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        for name, value in vars(record).items():
            if name not in _STANDARD and name not in line:
                line[name] = value
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class _Text(logging.Formatter):
    def __init__(self, role: str) -> None:
        super().__init__(f"%(asctime)s {role}[%(process)d] %(levelname)s %(message)s", "%H:%M:%S")


class _Repeats(logging.Filter):
    """OpenTelemetry says at every batch that its collector is away; once a minute will do."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith("opentelemetry."):
            return True
        if record.created - self._said.get(str(record.msg), -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        self._said[str(record.msg)] = record.created
        return True


def _timestamp(seconds: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def request_id(scope: Mapping[str, Any] | None) -> str | None:
    """The id the application gave the request (`request.state.request_id`), else the one that came with it."""
    if scope is None:
        return None
    given = scope.get("state", {}).get("request_id")
    if given is not None:
        return str(given)
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            return bytes(value[:_MAX_REQUEST_ID]).decode("latin-1")
    return None


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, traceback)
        return
    logging.getLogger("paceline").critical("uncaught exception", exc_info=(kind, error, traceback))
