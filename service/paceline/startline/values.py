"""What a value of gunicorn's or uvicorn's is in ours: text for a variable of the environment. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from paceline.errors import UsageError
from paceline.startline.rows import Row

_YES: Final = frozenset({"true", "1", "yes", "on", "y", "t"})
_NO: Final = frozenset({"false", "0", "no", "off", "n", "f", ""})
_OLD_OCTAL: Final = re.compile(r"0\d+")
_STANDARD_OUTPUT: Final = frozenset({"-", "/dev/stdout", "/proc/self/fd/1"})
_OF_PROCESS: Final = re.compile(r"^/proc/\d+/fd/")


def text_of(value: Any, separator: str = ",") -> str:
    """A value from a file of Python or TOML, as the command line would have it; lists are joined."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple, set, frozenset)):
        return separator.join(text_of(each) for each in value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    return "" if value is None else str(value)


def asks_for_nothing(row: Row, value: str) -> bool:
    """Whether a setting that we do not have was given the value that says no, or what is the case anyway."""
    return _of_this_process(value) in row.plain or value.lower() in {"false", "none", "0", "", "{}", "[]"}


def is_true(value: str, written: str) -> bool:
    """Raises UsageError for what is neither yes nor no."""
    lowered = value.strip().lower()
    if lowered not in _YES | _NO:
        raise UsageError(f"{written} is wrong: {value!r} is neither true nor false")
    return lowered in _YES


def ours(row: Row, value: str, written: str) -> str | None:
    """The value of `row.becomes`; None where it leaves the setting as it is.

    Raises:
        UsageError: it is one that we do not offer; the line names it as it was written.
    """
    convert = _CONVERSIONS.get(row.names[0] if row.names else "") or _CONVERSIONS.get(row.becomes)
    if convert is not None:
        return convert(value, written)
    if row.becomes.startswith("PACELINE_") and not row.metavar:
        return str(is_true(value, written)).lower()
    return value


def _log_level(value: str, _: str) -> str:
    return "debug" if value.lower() in {"trace", "5"} else value


def _workers(value: str, written: str) -> str:
    if value.strip().lower() == "auto" or (value.isascii() and value.isdigit() and int(value) >= 1):
        return value.strip()
    raise UsageError(f"{written} is wrong: {value!r} is neither a number from 1 on nor `auto`")


def _access_log(value: str, written: str) -> str:
    lowered = value.strip().lower()
    if lowered in {"auto", "json", "common", "off"}:
        return lowered
    return "auto" if is_true(value, written) else "off"


def _access_log_file(value: str, written: str) -> str | None:
    if value in {"", "None"}:
        return None
    if _of_this_process(value) in _STANDARD_OUTPUT:
        return "auto"
    raise UsageError(f"{written} {value} is not offered: lines go to standard output; write `-` and append 1>>{value}")


def _of_this_process(path: str) -> str:
    """`/proc/1/fd/2` as `/proc/self/fd/2`: in a container they are the same."""
    return _OF_PROCESS.sub("/proc/self/fd/", path)


def _folders(value: str, _: str) -> str:
    return ":".join(part.strip() for part in value.split(",") if part.strip())


def _mask(value: str, written: str) -> str:
    """Of gunicorn's option or file, as it reads them: octal with a leading 0, else decimal. Ours is octal always."""
    try:
        return f"{int(f'0o{value}' if _OLD_OCTAL.fullmatch(value) else value, 0):o}"
    except ValueError as error:
        raise UsageError(f"{written} is wrong: {value!r} is no mask; write it in octal, such as 007") from error


def _yes_or_no(value: str, written: str) -> str:
    return str(is_true(value, written)).lower()


def _lifespan(value: str, _: str) -> str:
    return value.lower()


_CONVERSIONS: Final[Mapping[str, Callable[[str, str], str | None]]] = {
    "gunicorn.loglevel": _log_level,
    "gunicorn.accesslog": _access_log_file,
    "gunicorn.pythonpath": _folders,
    "gunicorn.umask": _mask,
    "PACELINE_WORKERS": _workers,
    "PACELINE_ACCESS_LOG": _access_log,
    "PACELINE_WS_PER_MESSAGE_DEFLATE": _yes_or_no,
    "PACELINE_LIFESPAN": _lifespan,
}
"""By the name of gunicorn's setting, or else by the variable of ours."""
