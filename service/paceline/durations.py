"""Durations as people and Kubernetes write them: `500ms`, `90s`, `2m30s`, `1h`. Parsing and printing only."""

import re
from datetime import timedelta
from typing import Final

from paceline.errors import UsageError

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")


def parse_duration(text: str) -> timedelta:
    """`2m30s` is 150 seconds.

    Raises:
        UsageError: names the text and shows how a duration looks.
    """
    if not re.fullmatch(rf"(?:{_PART.pattern})+", text):
        raise UsageError(f"{text!r} is not a duration: write a number and a unit, such as 500ms, 90s or 2m30s")
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)))


def format_seconds(seconds: float) -> str:
    """Three digits and the unit that suits: 0.0123 is `12.3 ms`, 4.2 is `4.2 s`."""
    if seconds >= 1:
        return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
    return f"{seconds * 1000:.3g} ms"
