"""Where commands begin in a container's command line, those of a shell's text included.

A name elsewhere is a word like any other: `echo starting gunicorn`, `pip install gunicorn`, `tail /var/log/gunicorn`.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

SERVERS: Final = frozenset({"gunicorn", "uvicorn"})
OURS: Final = "paceline"
_SERVE: Final = re.compile(r"(?:^|[\s/\"'])paceline\s+serve(?=[\s\"';&|)]|$)")
_SHELLS: Final = frozenset({"sh", "bash", "ash", "dash", "zsh", "ksh"})
_LEADING: Final = frozenset(
    {"-m", "run", "run-program", "exec", "--", "ddtrace-run", "opentelemetry-instrument", "tini", "dumb-init"}
    | {"env", "nice", "time", "then", "do", "else", "!", "{"}
)
"""A command follows at once."""
_LEADING_WITH_ONE: Final = frozenset({"gosu", "su-exec"})
"""A command follows after one word more, the user's name."""
_SKIPPED: Final = frozenset({"--frozen", "--locked", "--no-dev", "--no-sync"})
_ASSIGNMENT: Final = re.compile(r"\w+=")
_TOKEN: Final = re.compile(
    r"(?P<space>[ \t\r]+|\\\n|(?:^|(?<=\s))#[^\n]*)"
    r"|(?P<end>&&|\|\||[;|&()\n])"
    r"""|(?P<word>(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s;|&()'"\\])+)""",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Start:
    """A word where a command begins."""

    index: int
    """Which word of the line it is, or lies in."""
    begin: int
    end: int
    """Where it stands in that word."""
    path: str
    rest: tuple[str, ...]
    """What follows it."""

    @property
    def name(self) -> str:
        return PurePosixPath(self.path).name


def starts(line: Sequence[str]) -> Sequence[Start]:
    """All of a line; none of a text that takes a shell to read, such as one with a here-document."""
    at = shell_text(line)
    if at is not None:
        return [each for command in _commands(line[at]) for each in _of_text(at, command, line[at + 1 :])]
    found = (index for index, _ in enumerate(line) if _begins(line[:index]))
    return [Start(index, 0, len(line[index]), line[index], tuple(line[index + 1 :])) for index in found]


def shown_to_serve(line: Sequence[str]) -> bool | None:
    """Whether a line runs `paceline serve`; False where another server starts, None where it shows neither."""
    if any(each.name in SERVERS for each in starts(line)):
        return False
    return True if _SERVE.search(" ".join(line)) else None


def shell_text(line: Sequence[str]) -> int | None:
    """Which word of the line a shell reads."""
    if len(line) == 1 and re.search(r"\s", line[0]):
        return 0  # the image's entry point is a shell
    for index, word in enumerate(line):
        if PurePosixPath(word).name in _SHELLS and _begins(line[:index]):
            return _after_c(line, index + 1)
    return None


def split(text: str) -> list[str]:
    """The words of a shell's text."""
    try:
        return shlex.split(text)
    except ValueError:  # an open quote
        return text.split()


def _after_c(line: Sequence[str], index: int) -> int | None:
    while index + 1 < len(line) and (line[index].startswith(("-", "+")) or line[index] == "pipefail"):
        if re.fullmatch(r"-[a-z]*c", line[index]):
            return index + 1
        index += 1
    return None


def _begins(before: Sequence[str]) -> bool:
    """Whether a command begins behind these words."""
    while before and (before[-1] in _SKIPPED or _ASSIGNMENT.match(before[-1])):
        before = before[:-1]
    if not before:
        return True
    names = [PurePosixPath(word).name for word in before[-2:]]
    return names[-1] in _LEADING or "entrypoint" in names[-1] or (len(names) > 1 and names[0] in _LEADING_WITH_ONE)


def _of_text(at: int, command: Sequence[re.Match[str]], more: Sequence[str]) -> Iterator[Start]:
    found = ["".join(split(word.group())) for word in command]
    for index, word in enumerate(command):
        if _begins(found[:index]):
            yield Start(at, word.start(), word.end(), found[index], (*found[index + 1 :], *more))


def _commands(text: str) -> Sequence[Sequence[re.Match[str]]]:
    """The words of each command of a text."""
    found: list[list[re.Match[str]]] = [[]]
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None or "<<" in token.group():
            return ()
        if token.lastgroup == "end":
            found.append([])
        elif token.lastgroup == "word":
            found[-1].append(token)
        position = token.end()
    return found
