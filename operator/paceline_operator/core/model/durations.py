"""Durations as Kubernetes writes them: `45ms`, `60s`, `1m30s`. Seconds inside, text only at the edges."""

import re
from datetime import timedelta
from typing import Final

_UNITS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
SHORTEST: Final = 1e-10
"""Seconds; what is shorter is written as none."""
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def parse_duration(text: str) -> timedelta:
    """`"1m30s"` → 90 s. Resolution is a microsecond.

    Raises:
        ValueError: the text is not a duration; says what one looks like.
    """
    if not _WHOLE.fullmatch(text):
        raise ValueError(f"{text!r} is not a duration such as 45ms, 60s or 1m30s")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    try:
        return timedelta(seconds=seconds)
    except OverflowError as error:
        raise ValueError(f"{text!r} is longer than any duration that makes sense here") from error


def format_duration(duration: timedelta | float) -> str:
    """Three significant digits at most, in the largest unit that keeps them readable.

    | seconds | text |
    | --- | --- |
    | 0.0004 | 400us |
    | 0.0332 | 33.2ms |
    | 1.25 | 1.25s |
    | 90 | 1m30s |
    """
    seconds = duration.total_seconds() if isinstance(duration, timedelta) else duration
    if seconds < SHORTEST:
        return "0s"
    for limit, factor, unit in ((0.0009995, 1e6, "us"), (0.9995, 1e3, "ms"), (59.95, 1.0, "s")):
        if seconds < limit:
            return f"{float(f'{seconds * factor:.3g}'):g}{unit}"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return "".join(f"{number}{unit}" for number, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if number)
