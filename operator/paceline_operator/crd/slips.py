"""Values that are written for something else than they say, and what was probably meant. Pure: text in, text out."""

import re
from typing import Final

from paceline_operator.core.model.durations import format_duration, parse_duration

_MINUTES: Final = re.compile(r"(\d{1,15})(?:\.\d+)?m")
_MATCH: Final = re.compile(r"([A-Z]+|[*]) /.*")
_BARE: Final = re.compile(r"\d+(?:\.\d+)?")
_UNITS: Final = {
    "min": "m", "mins": "m", "minute": "m", "minutes": "m", "sec": "s", "secs": "s", "second": "s", "seconds": "s",
    "msec": "ms", "millis": "ms", "milliseconds": "ms", "usec": "us", "hr": "h", "hour": "h", "hours": "h",
}  # fmt: skip
_SPELLED: Final = re.compile(r"(\d{1,15}(?:\.\d+)?(?:[eE]\d{1,2})?)([A-Za-z\u00b5]+)")
_BLANK_OR_COMMA: Final = re.compile(r"\s+|(?<=\d),(?=\d)")
MOST_MINUTES: Final = 99
"""`500m` is half of a CPU elsewhere in Kubernetes; whoever means so many minutes can write hours."""


MOST_MINUTES_OF_A_RESPONSE: Final = 9


def slip_in_duration(text: str, most_minutes: int = MOST_MINUTES) -> str | None:
    """Why a duration is refused although it parses, or would parse if it were written otherwise; None where it is fine.

    | written | told |
    | --- | --- |
    | `500m` | 500 minutes: write 500ms for milliseconds, or 8h20m |
    | `45` | has no unit: write 45ms or 45s |
    | `5 min`, `1,5s`, `1e3ms` | write 5m, 1.5s, 1000ms |
    | `500 min` | as `500m` |
    """
    minutes = _MINUTES.fullmatch(text)
    if minutes and int(minutes[1]) > most_minutes:
        return f"{text!r} is {text[:-1]} minutes: write {text}s for milliseconds, or {_longer(int(minutes[1]))}"
    if _BARE.fullmatch(text):
        return f"{text!r} has no unit and is not a duration such as 45ms, 60s or 1m30s: write {text}ms or {text}s"
    meant = _meant(text)
    if meant == text or not _parses(meant):
        return None
    also = slip_in_duration(meant, most_minutes)  # what is recommended must not be refused in its turn
    return f"{text!r} is not a duration such as 45ms, 60s or 1m30s: " + (also or f"write {meant}")


def _longer(minutes: int) -> str:
    """So many minutes as they are not taken for anything else."""
    text = format_duration(min(60.0 * minutes, 1e9)) if minutes >= 60 else f"{60 * minutes}s"
    return f"{text} if you mean that"


def _meant(text: str) -> str:
    """The duration that was probably meant; the text itself where nothing comes to mind."""
    text = _BLANK_OR_COMMA.sub(lambda found: "." if found[0] == "," else "", text).replace("\u03bc", "\u00b5")
    spelled = _SPELLED.fullmatch(text)
    if spelled is None:
        return text
    number, unit = spelled[1], spelled[2].lower()
    return (f"{float(number):.15g}" if "e" in number.lower() else number) + _UNITS.get(unit, unit)


def _parses(text: str) -> bool:
    try:
        parse_duration(text)
    except ValueError:
        return False
    return True


def slip_in_match(value: object) -> object:
    """A pattern of routes as given, such as `GET /reports/*`.

    Raises:
        ValueError: it names no method and path.
    """
    if not isinstance(value, str) or not _MATCH.fullmatch(value):
        meant = f": write GET {value}" if isinstance(value, str) and value.startswith("/") else ""
        raise ValueError(f"{value!r} is no method and path such as GET /reports/* or * /reports/*{meant}")
    return value


def slip_in_mode(value: object) -> object:
    """The mode as given.

    Raises:
        ValueError: it is what YAML makes of Off or On without quotes.
    """
    if isinstance(value, bool):
        word = "On" if value else "Off"
        raise ValueError(
            f'{str(value).lower()} is what YAML reads of {word} without quotes: write mode: "Off" with quotes, '
            "Recommend or Auto"
        )
    return value
