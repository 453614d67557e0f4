"""What a start line asks for: all sources put together, the first that says something wins. Starts nothing.

Command line, PACELINE_* variables, UVICORN_* variables, GUNICORN_CMD_ARGS, paceline.toml, gunicorn.conf.py, then what
only moves defaults: WEB_CONCURRENCY, PORT and FORWARDED_ALLOW_IPS.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from paceline.errors import UsageError
from paceline.startline.arguments import Given
from paceline.startline.binding import BIND, bind_of
from paceline.startline.files import own, read_files
from paceline.startline.known import APPLICATION, adds_up, is_read_by_us, separator, variables
from paceline.startline.rows import Fate
from paceline.startline.sources import (
    Source,
    from_command_line,
    from_general_variables,
    from_gunicorn_arguments,
    from_uvicorn_variables,
    misspelled,
)
from paceline.startline.table import BY_NAME
from paceline.startline.values import asks_for_nothing, is_true, ours

_PROXIES: Final = "PACELINE_TRUSTED_PROXIES"
_PROXY_HEADERS: Final = BY_NAME["uvicorn.proxy_headers"]
_FIRST_ONLY: Final = frozenset({"help", "version", "print", "env_file"})
"""Actions that count on the command line alone, and a file of variables in UVICORN_ENV_FILE, too."""
_NO_ADDRESS: Final = frozenset({BIND, "host", "port", "uds", "fd"})


@dataclass(frozen=True, slots=True)
class Start:
    """What to start, and what to say before."""

    application: str | None
    """As it was written, a call added for `--factory`."""
    settings: Mapping[str, str]
    """Our variables that some source gives, those of the environment included."""
    written: Mapping[str, str]
    """How each of them was written, for messages: `--workers`, `bind in paceline.toml`."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Other variables to set."""
    folder: str | None = None
    """Where to run."""
    notes: tuple[str, ...] = ()
    """What was taken without anything to be done for it."""
    warnings: tuple[str, ...] = ()
    """What was taken without effect."""
    asked: frozenset[str] = frozenset()
    """`help`, `version`, `print`."""


def resolve(arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> Start:
    """Reads all sources.

    Raises:
        UsageError: one line that names what is wrong where, or what we do not offer and what to do instead.
    """
    line = from_command_line(list(arguments))
    asked = frozenset(_actions([line], "help", "version", "print"))
    if asked & {"help", "version"}:
        return Start(None, {}, {}, asked=asked)
    extra = _extra(line, environment, folder)
    known = {**environment, **extra}
    gunicorn = from_gunicorn_arguments(known)
    given = next(iter(_values([line, gunicorn], "config")), None)
    sources = [line, _ours(known), from_uvicorn_variables(known), gunicorn]
    sources += [*read_files(given, folder), from_general_variables(known)]
    settings, written = _settings(sources)
    refused(sources)
    pairs, left_out = _pairs_of_others(sources[1:])
    return Start(
        _application(sources),
        settings,
        written,
        {**pairs, **extra},
        next(iter(_values(sources, "chdir")), None),
        tuple(_said(sources, Fate.NOT_NEEDED, "is not needed")),
        (
            *_said(sources, Fate.NO_EFFECT, "has no effect"),
            *_out_of_place(sources[1:]),
            *left_out,
            *misspelled(known, {*variables(), APPLICATION}),
        ),
        asked,
    )


def _extra(line: Source, environment: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Variables that the command line sets; a file's give way to the environment."""
    file = next(iter(_values([line, from_uvicorn_variables(environment)], "env_file")), None)
    from_file: dict[str, str] = {}
    if file is not None:
        if not (folder / file).is_file():
            raise UsageError(f"there is no file {file!r} of variables (--env-file)")
        from dotenv import dotenv_values  # pydantic-settings brings it

        from_file = {name: value for name, value in dotenv_values(folder / file).items() if value is not None}
    return {**{name: value for name, value in from_file.items() if name not in environment}, **_pairs([line])}


def _pairs(sources: Sequence[Source]) -> dict[str, str]:
    """`--env NAME=VALUE`, and `raw_env` of files."""
    found = {}
    for source in sources:
        for each in source.given:
            if each.row.becomes == "env":
                name, equals, value = each.value.partition("=")
                if not name or not equals:
                    raise UsageError(f"{each.written} {each.value!r} is wrong; write NAME=VALUE")
                found[name] = value
    return found


def _pairs_of_others(sources: Sequence[Source]) -> tuple[dict[str, str], list[str]]:
    """Variables for the application, and a line for each that would move a setting of ours unseen."""
    found, said = {}, []
    for source in reversed(sources):
        for name, value in _pairs([source]).items():
            if not is_read_by_us(name):
                found[name] = value
                continue
            written = next(each.written for each in source.given if each.row.becomes == "env")
            said.append(f"{written} does not set {name}, which Paceline reads before: set it in the environment")
    return found, said


def _out_of_place(sources: Sequence[Source]) -> Iterator[str]:
    for source in sources:
        for each in source.given:
            counts = each.row.becomes not in _FIRST_ONLY or each.written == "UVICORN_ENV_FILE"
            if not counts and not asks_for_nothing(each.row, each.value):
                yield f"{each.written} has no effect there: give it on the command line"


def _ours(environment: Mapping[str, str]) -> Source:
    upper = {name.upper(): value for name, value in environment.items()}
    given = (own(name, upper[name]) for name in variables() if name in upper)
    return Source("environment", tuple(given), environment.get(APPLICATION) or None)


def _actions(sources: Sequence[Source], *names: str) -> Iterator[str]:
    for source in sources:
        yield from (each.row.becomes for each in source.given if each.row.becomes in names)


def _values(sources: Sequence[Source], name: str) -> Iterator[str]:
    """The first is the one that counts."""
    for source in sources:
        yield from reversed([each.value for each in source.given if each.row.becomes == name and each.value])


def _application(sources: Sequence[Source]) -> str | None:
    named = next((source.application for source in sources if source.application), None)
    factory = next((each for source in sources for each in source.given if each.row.becomes == "factory"), None)
    if named is None or factory is None or not is_true(factory.value, factory.written) or named.endswith(")"):
        return named
    if ":" not in named:
        raise UsageError(
            f"{factory.written} calls a factory, and {named!r} names none; write MODULE:FACTORY, for instance"
            f" {named}:create_app"
        )
    return f"{named}()"


def refused(sources: Sequence[Source]) -> None:
    """Raises UsageError for the first setting that we do not offer; a value, which may be a secret, is shown only where
    another one would do."""
    for each in _told(sources, Fate.NOT_OFFERED):
        value = f" {each.value}" if each.row.plain and each.value != "true" and len(each.value) <= 80 else ""
        raise UsageError(f"{each.written}{value} is not offered: {each.row.says}")


def _said(sources: Sequence[Source], fate: Fate, how: str) -> Iterator[str]:
    seen = set()
    for each in _told(sources, fate):
        if each.row not in seen:
            seen.add(each.row)
            yield f"{each.written} {how}: {each.row.says}"


def _told(sources: Sequence[Source], fate: Fate) -> Iterator[Given]:
    for source in sources:
        yield from (
            each for each in source.given if each.row.fate is fate and not asks_for_nothing(each.row, each.value)
        )


def _settings(sources: Sequence[Source]) -> tuple[dict[str, str], dict[str, str]]:
    settings: dict[str, str] = {}
    written: dict[str, str] = {}
    if (bind := bind_of(sources)) is not None:
        settings[BIND], written[BIND] = bind
    for source in sources:
        for name, (value, said) in _of(source).items():
            if name not in settings:
                settings[name], written[name] = value, said
    if (switch := _proxies_are_off(sources)) is not None:
        settings[_PROXIES], written[_PROXIES] = "", switch.written
    return settings, written


def _proxies_are_off(sources: Sequence[Source]) -> Given | None:
    """Who says so, whatever lists of proxies there are: of several switches the first source's counts."""
    for source in sources:
        switches = [each for each in source.given if each.row == _PROXY_HEADERS]
        if switches:
            return None if is_true(switches[-1].value, switches[-1].written) else switches[-1]
    return None


def _of(source: Source) -> dict[str, tuple[str, str]]:
    """What one source says: later options win."""
    found: dict[str, tuple[str, str]] = {}
    for each in source.given:
        name = each.row.becomes
        if each.row.fate is not Fate.SETTING or name in _NO_ADDRESS or each.row == _PROXY_HEADERS:
            continue
        value = ours(each.row, each.value, each.written)
        if value is not None:
            before = found.get(name)
            joined = f"{before[0]}{separator(name)}{value}" if before and adds_up(name) else value
            found[name] = joined, each.written
    return found
