"""Our own settings by the names of their variables, as files and messages need them."""

from collections.abc import Mapping
from typing import Final

from paceline.settings import GROUPS

PREFIX: Final = "PACELINE_"
APPLICATION: Final = "PACELINE_APP"
"""Names the application where the command line does not."""
_READ: Final = frozenset({"FORWARDED_ALLOW_IPS", "LISTEN_FDS", "LISTEN_PID"})
"""Of others' variables, those that are read once the start line is resolved."""

_SEPARATORS: Final = {"PACELINE_RESPONSE_HEADERS": "\n", "PACELINE_APP_DIR": ":"}


def adds_up(variable: str) -> bool:
    """Whether an option that is given again adds to what it said before."""
    return variable in _SEPARATORS


def separator(variable: str) -> str:
    """What stands between the values of a variable that has several."""
    return _SEPARATORS.get(variable, ",")


def is_read_by_us(variable: str) -> bool:
    """Whether it would move a setting of ours; the case of letters does not count there."""
    return variable.upper().startswith(PREFIX) or variable.upper() in _READ


def variables() -> Mapping[str, tuple[str, str]]:
    """`PACELINE_BIND` → the group's and the field's name in `Settings`."""
    found: dict[str, tuple[str, str]] = {}
    for attribute, group in GROUPS.items():
        prefix = str(group.model_config["env_prefix"])
        if prefix.startswith(PREFIX):
            found |= {f"{prefix}{name}".upper(): (attribute, name) for name in group.model_fields}
    return found
