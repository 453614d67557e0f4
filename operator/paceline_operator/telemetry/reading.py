"""Readers of single figures, names and lists of a report. Each gives what it says or raises ValueError with the place.

A report is written by whatever listens on the pod's port: nothing of it may make a pass fail, fill the operator's
memory, or reach a status that the API server would refuse.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from paceline_operator.core.measure.histogram import Histogram

MOST_COUNT: Final = 2**53
"""A counter; those of a thousand pods still add up within 64 bits."""
MOST_SECONDS: Final = 2.0**53
MOST_VALUE: Final = 2**31 - 1
"""A value in force; a status holds 32 bits."""
MOST_ENTRIES: Final = 128
"""Route groups (eight, those that a policy names, and the others), pools, caches."""
MOST_LISTED: Final = 64
"""Of lists for people, such as what is pending: the rest is left away."""
MOST_BUCKETS: Final = 1100
"""Of a histogram; from a tenth of a nanosecond to a century there are 1,040 at scale 4."""
LONGEST_NAME: Final = 512
LONGEST_TEXT: Final = 200
"""A text for people is cut there."""
_LEAST_EXPONENT: Final = -34
_MOST_EXPONENT: Final = 33
"""Values of a histogram lie between these powers of two: seconds that can have been measured."""


def count(value: object, where: str, most: int = MOST_COUNT) -> int:
    """A whole number from 0 on."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{where}: {shown(value)} is no count between 0 and {most}")
    return value


def number(value: object, where: str, most: float = MOST_SECONDS) -> float:
    """A measure from 0 on; finite."""
    if type(value) not in (int, float) or not 0 <= value <= most:  # type: ignore[operator]
        raise ValueError(f"{where}: {shown(value)} is no measurement between 0 and {most:g}")
    return float(value)  # type: ignore[arg-type]


def name(value: object, where: str) -> str:
    """What something is called; taken as it is or not at all, since a part of it would name something else."""
    if not isinstance(value, str) or len(value) > LONGEST_NAME or not value.isprintable():
        raise ValueError(f"{where}: {shown(value)} is no name of at most {LONGEST_NAME} printable characters")
    return value


def text(value: object, where: str) -> str:
    """A sentence for people, on one line and cut."""
    if not isinstance(value, str):
        raise ValueError(f"{where}: {shown(value)} is no text")
    short = value if len(value) <= LONGEST_TEXT else f"{value[: LONGEST_TEXT - 1]}…"
    return short if short.isprintable() else "".join(each if each.isprintable() else " " for each in short)


def items(value: object, where: str, most: int = MOST_ENTRIES) -> Sequence[Any]:
    """A list whose every entry counts."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: {shown(value)} is no list")
    if len(value) > most:
        raise ValueError(f"{where}: {len(value)} entries, at most {most} are read")
    return value


def listed(value: object, where: str) -> Sequence[Any]:
    """A list for people; its first entries."""
    if not isinstance(value, list):
        raise ValueError(f"{where}: {shown(value)} is no list")
    return value[:MOST_LISTED]


def mapping(value: object, where: str) -> Mapping[str, Any]:
    """An object with fields that this operator knows."""
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {shown(value)} is no object")
    return value


def named(value: object, where: str) -> Iterator[tuple[str, Any]]:
    """An object whose names are those of pools, caches or the like."""
    found = mapping(value, where)
    if len(found) > MOST_ENTRIES:
        raise ValueError(f"{where}: {len(found)} entries, at most {MOST_ENTRIES} are read")
    return ((name(key, where), each) for key, each in found.items())


def histogram(value: object, where: str) -> Histogram:
    """A histogram of seconds."""
    wire = mapping(value, where)
    counts = items(wire["counts"], f"{where}.counts", MOST_BUCKETS)
    if (
        not {type(each) for each in counts} <= {int}
        or min(counts, default=0) < 0
        or max(counts, default=0) > MOST_COUNT
    ):
        raise ValueError(f"{where}.counts: holds what is no count between 0 and {MOST_COUNT}")
    count(wire["zeroCount"], f"{where}.zeroCount")
    count(wire["count"], f"{where}.count")
    number(wire["sum"], f"{where}.sum")
    for field, most in (("scale", 20), ("offset", 1 << 31)):
        if type(wire[field]) is not int or abs(wire[field]) > most:
            raise ValueError(f"{where}.{field}: {shown(wire[field])} is no {field} of a histogram")
    try:
        found = Histogram.from_wire(wire)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    _require_plausible(found, where)
    return found


def _require_plausible(found: Histogram, where: str) -> None:
    width = 2.0**-found.scale
    lowest, highest = min(found.buckets, default=0), max(found.buckets, default=0)
    if lowest * width < _LEAST_EXPONENT or (highest + 1) * width > _MOST_EXPONENT:
        raise ValueError(f"{where}: holds durations that nobody can have measured")


def shown(value: object) -> str:
    """A value in a message; short, whatever it is."""
    match value:
        case list() | dict():
            return f"a JSON {'list' if isinstance(value, list) else 'object'}"
        case str():
            return repr(value if len(value) <= 60 else f"{value[:59]}…")
        case bool():
            return str(value).lower()
    return "null" if value is None else f"{value}"
