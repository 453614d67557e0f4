"""Where settings come from beside the command line: variables of gunicorn and uvicorn, and general ones. Pure."""

import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from paceline.errors import UsageError
from paceline.startline.arguments import Given, parse
from paceline.startline.table import BY_NAME, ROWS

GUNICORN_ARGUMENTS: Final = "GUNICORN_CMD_ARGS"
WEB_CONCURRENCY: Final = "WEB_CONCURRENCY"
_PROXIES: Final = "FORWARDED_ALLOW_IPS"


@dataclass(frozen=True, slots=True)
class Source:
    """What one place gives, under its name."""

    name: str
    given: tuple[Given, ...]
    application: str | None = None


def from_command_line(arguments: list[str]) -> Source:
    """Raises UsageError: an option is unknown, or there are two applications."""
    line = parse(arguments)
    if len(line.applications) > 1:
        raise UsageError(
            f"{line.applications[1]!r} is one argument too many after {line.applications[0]!r};"
            " an option's value with spaces needs quotes"
        )
    return Source("command line", line.given, next(iter(line.applications), None))


def from_gunicorn_arguments(environment: Mapping[str, str]) -> Source:
    """`GUNICORN_CMD_ARGS`. Raises UsageError: names the variable and the option in it that is wrong."""
    text = environment.get(GUNICORN_ARGUMENTS, "")
    try:
        line = parse(shlex.split(text))
    except (UsageError, ValueError) as error:
        raise UsageError(f"{GUNICORN_ARGUMENTS} is wrong: {error}") from error
    if line.applications:
        raise UsageError(f"{GUNICORN_ARGUMENTS} is wrong: {line.applications[0]!r} is no option")
    given = (Given(each.row, each.value, f"{each.written} in {GUNICORN_ARGUMENTS}") for each in line.given)
    return Source(GUNICORN_ARGUMENTS, tuple(given))


def from_uvicorn_variables(environment: Mapping[str, str]) -> Source:
    """`UVICORN_HOST` and the like, which uvicorn takes for each of its options."""
    return Source("UVICORN_*", tuple(_uvicorn_variables(environment)), environment.get("UVICORN_APP") or None)


def _uvicorn_variables(environment: Mapping[str, str]) -> Iterator[Given]:
    for row in ROWS:
        name = row.name_of("uvicorn")
        variable = f"UVICORN_{name}".upper()
        value = environment.get(variable, "") if name else ""
        if not value or name in {"app", "version"}:
            continue
        for each in value.split() if row.many else [value]:
            yield Given(row, each, variable)


def from_general_variables(environment: Mapping[str, str]) -> Source:
    """`PORT`, `WEB_CONCURRENCY`, `FORWARDED_ALLOW_IPS`: set by platforms; they move the defaults, as with gunicorn."""
    names = {WEB_CONCURRENCY: "gunicorn.workers", _PROXIES: "gunicorn.forwarded_allow_ips"}
    found = [Given(BY_NAME[name], environment[key], key) for key, name in names.items() if environment.get(key)]
    if environment.get("PORT"):
        found += [
            Given(BY_NAME["uvicorn.host"], "0.0.0.0", "PORT"),
            Given(BY_NAME["uvicorn.port"], environment["PORT"], "PORT"),
        ]
    return Source("environment", tuple(found))


def misspelled(environment: Mapping[str, str], known: Collection[str]) -> Iterator[str]:
    """A line for each variable that is nearly one of ours or of uvicorn's: nothing else would say that nobody reads it.

    Args:
        known: the names of ours.
    """
    uvicorn = {f"UVICORN_{name}".upper() for row in ROWS if (name := row.name_of("uvicorn"))}
    for variable in sorted(environment.keys() - known - uvicorn):
        names = known if variable.startswith("PACELINE_") else uvicorn if variable.startswith("UVICORN_") else ()
        if found := get_close_matches(variable, names, n=1, cutoff=0.9):
            yield f"nobody reads the variable {variable}; did you mean {found[0]}?"
