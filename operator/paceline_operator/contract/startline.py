"""What a container's command line and variables say of the settings that the contract is about."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from paceline_operator.contract.commands import OURS, SERVERS, shell_text, shown_to_serve, split, starts
from paceline_operator.contract.subject import Spec, words

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
    return shown_to_serve(words(container))


def other_server(container: Spec) -> str | None:
    """The server that its command starts."""
    return next((each.name for each in starts(words(container)) if each.name in SERVERS), None)


def under_paceline(container: Spec) -> Mapping[str, list[str]] | None:
    """Command and args with `paceline serve` in place of the other server; None where it is not clear of which."""
    line = list(words(container))
    found = [each for each in starts(line) if each.name in (*SERVERS, OURS)]
    if len(found) != 1 or found[0].name == OURS:
        return None
    at, word = found[0], line[found[0].index]
    folder = at.path.removesuffix(at.name)
    if at.index == shell_text(line):
        line[at.index] = f"{word[: at.begin]}{folder}paceline serve{word[at.end :]}"
    else:
        line[at.index : at.index + 1] = [f"{folder}paceline", "serve"]
    before = len(container.get("command") or ())
    before += (len(line) - len(words(container))) * (at.index < before)
    return {name: part for name, part in (("command", line[:before]), ("args", line[before:])) if part}


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
    """The words behind the server's name, those in a shell's text included: what is before it are others' options."""
    line = words(container)
    served = [each for each in starts(line) if each.name in (*SERVERS, OURS)]
    if served:
        return [word for each in served for word in each.rest]
    at = shell_text(line)
    return [*line] if at is None else [*split(line[at]), *line[at + 1 :]]


def _option(line: Sequence[str], flag: str) -> str | None:
    for index, word in enumerate(line):
        if word == flag:
            return line[index + 1] if index + 1 < len(line) else ""
        if word.startswith(f"{flag}=") or (len(flag) == 2 and word.startswith(flag) and not word.startswith("--")):
            return word.removeprefix(flag).removeprefix("=")
    return None
