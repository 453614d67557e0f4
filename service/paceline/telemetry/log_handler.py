"""Writes lines to a stream, and never raises where one is closed or nobody reads it any more."""

import logging
import os
import sys
from contextlib import suppress
from typing import Any, Final, TextIO

from paceline.telemetry.log_text import repr_of, text_of

_STDERR: Final = 2
_QUIET_SECONDS: Final = 60.0


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


def _write_anyway(line: str) -> None:
    """To the process's own standard error, below Python's streams: somebody may have closed only those."""
    descriptor = _STDERR
    with suppress(AttributeError, OSError, ValueError):
        descriptor = sys.__stderr__.fileno() if sys.__stderr__ is not None else _STDERR
    with suppress(OSError):
        os.write(descriptor, line.encode("utf-8", "backslashreplace"))
