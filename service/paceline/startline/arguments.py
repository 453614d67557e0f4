"""Takes a command line apart as gunicorn and uvicorn would: options of the table, and the application."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paceline.errors import UsageError
from paceline.startline.rows import Row, nearest
from paceline.startline.table import BY_FLAG

YES, NO = "true", "false"


@dataclass(frozen=True, slots=True)
class Given:
    """One setting that one source gives."""

    row: Row
    value: str
    """`true` or `false` of an option that takes none."""
    written: str
    """As the person wrote it: the option, the variable or the key."""


@dataclass(frozen=True, slots=True)
class Line:
    """A command line, taken apart."""

    applications: tuple[str, ...]
    given: tuple[Given, ...]


def parse(arguments: Sequence[str]) -> Line:
    """Options and positional arguments, which may stand in any order; behind `--` all are positional.

    Raises:
        UsageError: an option that nobody knows (with the nearest that is known), or one without the value it takes.
    """
    left, positional, given = list(arguments), [], []
    while left:
        word = left.pop(0)
        if word == "--":
            positional += left
            break
        if word.startswith("--"):
            given.append(_long(word, left))
        elif word.startswith("-") and word != "-":
            given += _short(word, left)
        else:
            positional.append(word)
    return Line(tuple(positional), tuple(given))


def _long(word: str, left: list[str]) -> Given:
    flag, equals, value = word.partition("=")
    row = _find(flag)
    if not equals:
        return Given(row, _next_value(row, flag, left), flag)
    if not row.metavar or flag in row.off:
        raise UsageError(f"{flag} takes no value")
    return Given(row, value, flag)


def _short(word: str, left: list[str]) -> Iterator[Given]:
    """`-w 4`, `-w4`, `-w=4`, and several that take no value in one word: `-DR`."""
    flag, rest = word[:2], word[2:]
    row = _find(flag)
    if row.metavar:
        yield Given(row, rest.removeprefix("=") if rest else _next_value(row, flag, left), flag)
        return
    yield Given(row, YES, flag)
    if rest:
        yield from _short(f"-{rest}", left)


def _next_value(row: Row, flag: str, left: list[str]) -> str:
    if flag in row.off:
        return NO
    if not row.metavar or (row.optional and (not left or left[0] not in row.optional)):
        return YES
    if not left or (left[0] in BY_FLAG or left[0].partition("=")[0] in BY_FLAG):
        raise UsageError(f"{flag} needs a value: {flag} {row.metavar.rstrip('+')}")
    return left.pop(0)


def _find(flag: str) -> Row:
    row = BY_FLAG.get(flag)
    if row is None:
        raise UsageError(f"there is no option {flag}{nearest(flag, BY_FLAG)} (all: paceline serve --help)")
    return row
