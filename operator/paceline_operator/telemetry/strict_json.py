"""The bytes of a response → one JSON object, or why there is none. Duplicate names and deep nesting are refused.

Of two equal names a parser takes either; who reads another one than the pod's own tools sees another report.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import orjson

from paceline_operator.errors import InvalidState

MOST_CONTAINERS: Final = 1 << 14
"""Each takes thirty times its bytes in memory, and as much time; a large service has a tenth of them."""
_NAME_END: Final = re.compile(rb'"[ \t\r\n]*:')


def parse_object(content: bytes) -> Mapping[str, Any]:
    """The object.

    Raises:
        InvalidState: not JSON, not an object, nested more than about a thousand levels deep, or a name is there twice.
    """
    if content.count(b"{") + content.count(b"[") > MOST_CONTAINERS:
        raise InvalidState(f"/state holds more than {MOST_CONTAINERS} objects and lists")
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise InvalidState(f"/state is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise InvalidState(f"/state is a JSON {type(parsed).__name__} and not an object")
    # Each name ends in such a match, so that with no more matches than names no name was there twice.
    if len(_NAME_END.findall(content)) != _names_in(parsed):
        _require_unique_names(content)
    return parsed


def _names_in(parsed: Mapping[str, Any]) -> int:
    """How many names the objects have; lists that begin with a number or a text are not searched."""
    found = 0
    waiting: list[Any] = [parsed]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            found += len(each)
            waiting.extend(value for value in each.values() if isinstance(value, dict | list))
        elif isinstance(each, list) and each and isinstance(each[0], dict | list):
            waiting.extend(each)
    return found


def _require_unique_names(content: bytes) -> None:
    """Ten times as slow as counting, and sure."""
    try:
        json.loads(content, object_pairs_hook=_unique)
    except RecursionError as error:
        raise InvalidState("/state is nested too deeply") from error
    except ValueError as error:
        raise InvalidState(f"/state is not JSON: {error}") from error


def _unique(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidState(f"/state names {twice[:80]!r} twice in one object")
