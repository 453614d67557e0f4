"""What a container's command line and variables say of the settings that the contract is about."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from paceline_operator.contract.subject import Spec, words

_PACELINE: Final = re.compile(r"(?:^|[\s/\"'])paceline\s+serve(?=[\s\"']|$)")
_OTHER: Final = re.compile(r"(?:^|(?<=[\s/\"']))(gunicorn|uvicorn)(?=[\s\"']|$)")
_FLAGS: Final[Mapping[str, tuple[str, ...]]] = {
    "PACELINE_MANAGEMENT_BIND": ("--management-bind",),
    "PACELINE_TUNING_FILE": ("--tuning",),
    "PACELINE_RUN_DIR": ("--run-dir",),
    "PACELINE_GRACEFUL_TIMEOUT_SECONDS": ("--graceful-timeout", "--timeout-graceful-shutdown"),
    "PACELINE_KEEPALIVE_SECONDS": ("--keep-alive", "--timeout-keep-alive"),
}
"""The command line wins over the variable."""
_BINDING: Final = ("-b", "--bind", "--host", "--port", "--uds", "--fd", "-c", "--config")
_BINDING_VARIABLES: Final = ("PACELINE_BIND", "PORT", "UVICORN_HOST", "UVICORN_PORT", "GUNICORN_CMD_ARGS")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting as the manifest has it. `value` is None where it is not there, or comes from elsewhere."""

    value: str | None = None
    flag: str | None = None
    """The option that gives it, which no variable overrides."""
    elsewhere: bool = False
    """From a ConfigMap, a Secret or a field of the pod."""


def serves(container: Spec) -> bool | None:
    """Whether it runs `paceline serve`; None where the manifest does not show it."""
    line = " ".join(words(container))
    if _PACELINE.search(line):
        return True
    return False if _OTHER.search(line) else None


def other_server(container: Spec) -> str | None:
    """The server that its command names."""
    found = _OTHER.search(" ".join(words(container)))
    return found.group(1) if found else None


def under_paceline(line: Sequence[Any]) -> list[str]:
    """A command with `paceline serve` where the other server's name was; the rest of the line stays."""
    for index, word in enumerate(map(str, line)):
        if re.fullmatch(r"(?:.*/)?(?:gunicorn|uvicorn)", word):
            return [*map(str, line[:index]), _OTHER.sub("paceline", word), "serve", *map(str, line[index + 1 :])]
        if " " in word and _OTHER.search(word):  # a shell's text
            return [*map(str, line[:index]), _OTHER.sub("paceline serve", word, count=1), *map(str, line[index + 1 :])]
    return list(map(str, line))


def setting(container: Spec, name: str) -> Setting:
    """A setting by the name of its variable."""
    line = _split(container)
    for flag in _FLAGS.get(name, ()):
        if (value := _option(line, flag)) is not None:
            return Setting(value, flag)
    for each in container.get("env") or ():
        if each.get("name") == name:
            return Setting(elsewhere=True) if each.get("valueFrom") else Setting(str(each.get("value") or ""))
    return Setting()


def says_where_to_listen(container: Spec) -> bool:
    """Whether anything in the manifest, or a file that it names, may give the application's address."""
    if any(each.get("name") in _BINDING_VARIABLES for each in container.get("env") or ()):
        return True
    line = _split(container)
    return any(_option(line, flag) is not None for flag in _BINDING)


def seconds(container: Spec, name: str, default: float) -> float:
    """A setting in seconds; what cannot be read counts as the default."""
    try:
        return float(setting(container, name).value or default)
    except ValueError:
        return default


def _split(container: Spec) -> list[str]:
    """The words of the line, those in a shell's text included."""
    found: list[str] = []
    for word in words(container):
        try:
            found += shlex.split(word) if " " in word else [word]
        except ValueError:  # an open quote
            found += word.split()
    return found


def _option(line: Sequence[str], flag: str) -> str | None:
    for index, word in enumerate(line):
        if word == flag:
            return line[index + 1] if index + 1 < len(line) else ""
        if word.startswith(f"{flag}=") or (len(flag) == 2 and word.startswith(flag) and not word.startswith("--")):
            return word.removeprefix(flag).removeprefix("=")
    return None
