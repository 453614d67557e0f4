"""How a record becomes a line, as JSON or as text, and is written. Nothing here raises or loses a record."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, TextIO

from paceline.telemetry.log_text import escaped, escaped_lines, json_line, repr_of, text_of

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_LONGEST_CHAIN: Final = 100
_STDERR: Final = 2
_QUIET_SECONDS: Final = 60.0


class JsonLines(logging.Formatter):
    """`{"time", "level", "logger", "message", "process", "pid", …context, "exception"?, "stack"?, …extra}`."""

    def __init__(self, role: str, context: Callable[[], Mapping[str, Any]]) -> None:
        """`context`: what is known beside the record, such as the request id."""
        super().__init__()
        self._role = role
        self._context = context

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": text_of(record.levelname).lower(),
            "logger": record.name,
            "message": message_of(record),
            "process": self._role,
            "pid": record.process,
        }
        try:
            line |= self._context()
        except Exception as error:  # of a request that is broken
            line["context"] = repr_of(error)
        if exception := exception_of(record):
            line["exception"] = exception
        if record.stack_info:
            line["stack"] = text_of(record.stack_info)
        for name, value in list(vars(record).items()):
            if name not in _STANDARD:
                line[f"extra.{name}" if name in line else name] = value
        return json_line(line)


class TextLines(logging.Formatter):
    """`12:30:01 worker[42] WARNING message`; nothing that is logged can look like another line or move the cursor."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self._role = role

    def format(self, record: logging.LogRecord) -> str:
        moment = time.strftime("%H:%M:%S", time.localtime(_seconds(record.created)))
        level, message = text_of(record.levelname), message_of(record)
        line = escaped(f"{moment} {self._role}[{record.process}] {level} {message}")
        more = (_escaped_exception(record), escaped_lines(text_of(record.stack_info or "")))
        return "\n".join(filter(None, (line, *more)))


class LineHandler(logging.StreamHandler[TextIO]):
    """Ours on every logger that has one of ours. A record whose stream is gone goes to the process's standard error."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> Any:  # bool, or the record from Python 3.12 on
        return super().filter(record) if self._is_news(record) else False

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{self._line(record)}\n"
        try:
            self.stream.write(line)
            self.stream.flush()
        except UnicodeError:
            with suppress(OSError, ValueError):
                self.stream.write(line.encode("ascii", "backslashreplace").decode())
                self.stream.flush()
        except (OSError, ValueError):
            _write_anyway(line)

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:  # formatters of ours do not raise; if one does, the record is still there
            return repr_of((record.levelname, record.name, record.msg, record.args, error))

    def _is_news(self, record: logging.LogRecord) -> bool:
        """OpenTelemetry says at every batch that its collector is away; once a minute will do."""
        if not record.name.startswith("opentelemetry."):
            return True
        said = text_of(record.msg)
        if record.created - self._said.get(said, -_QUIET_SECONDS) < _QUIET_SECONDS:
            return False
        self._said[said] = record.created
        return True


class UnhandledOnly(logging.Handler):
    """For a logger whose records would count as handled by a placeholder: passes on what root does not take."""

    def __init__(self, handler: LineHandler) -> None:
        super().__init__()
        self._handler = handler

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.root.handlers:
            self._handler.handle(record)


def message_of(record: logging.LogRecord) -> str:
    """The record's message; where arguments do not fit it, both."""
    try:
        return text_of(record.getMessage())
    except Exception as error:
        return f"{text_of(record.msg)} (with {repr_of(record.args)}: {type(error).__name__})"


def exception_of(record: logging.LogRecord) -> str:
    """The traceback, or what is there in its place; empty without any."""
    if not record.exc_info:
        return text_of(record.exc_text or "")
    try:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    except Exception:
        return repr_of(record.exc_info)


def _escaped_exception(record: logging.LogRecord) -> str:
    """The traceback with the messages in it as one line each: only they hold what came from outside."""
    text = exception_of(record)
    error = record.exc_info[1] if isinstance(record.exc_info, tuple) and len(record.exc_info) == 3 else None
    for said in sorted({each for each in _said(error) if "\n" in each}, key=len, reverse=True):
        text = text.replace(said, escaped(said))
    return escaped_lines(text)


def _said(error: BaseException | None) -> Iterator[str]:
    """The messages and notes of an exception and of those behind it."""
    waiting, seen = [error], 0
    while waiting and seen < _LONGEST_CHAIN:
        current = waiting.pop()
        if current is None:
            continue
        seen += 1
        yield text_of(current)
        notes = getattr(current, "__notes__", None)
        yield from map(text_of, notes if isinstance(notes, (list, tuple)) else (notes,))
        waiting += [current.__cause__, current.__context__]
        waiting += current.exceptions if isinstance(current, BaseExceptionGroup) else ()


def _seconds(created: Any) -> float:
    return created if isinstance(created, float) and 0 <= created < 1e11 else time.time()


def _timestamp(created: Any) -> str:
    seconds = _seconds(created)
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
    return f"{whole}.{int(seconds * 1000) % 1000:03d}Z"


def _write_anyway(line: str) -> None:
    """To the process's own standard error, below Python's streams: somebody may have closed only those."""
    descriptor = _STDERR
    with suppress(AttributeError, OSError, ValueError):
        descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else _STDERR
    with suppress(OSError):
        os.write(descriptor, line.encode("utf-8", "backslashreplace"))
