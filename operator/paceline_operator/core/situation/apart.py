"""Kinds that share a section of the wire, told apart in all that a decision rests on.

A document, a policy and a status name a connection pool and a process pool alike; pods say which is which.
"""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from paceline_operator.core.model.tunables import Tunable
from paceline_operator.core.situation.situation import Situation


def told_apart(situation: Situation, kinds: Mapping[Tunable, Tunable]) -> Situation:
    """The situation with each tunable as the one that it is. Worked example: `{pool("render"): processes("render")}`:
    the size of `render` is no longer one of a worker's connections, in force, remembered or allowed."""
    if not kinds:
        return situation
    named = ("policy", "values", "fleet", "memory", "held")
    return replace(situation, **{name: _renamed(getattr(situation, name), kinds) for name in named})


def _renamed(value: Any, kinds: Mapping[Tunable, Tunable]) -> Any:
    match value:
        case Tunable():
            return kinds.get(value, value)
        case Mapping():
            return {_renamed(key, kinds): _renamed(each, kinds) for key, each in value.items()}
        case tuple():
            return tuple(_renamed(each, kinds) for each in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{each.name: _renamed(getattr(value, each.name), kinds) for each in fields(value)})
    return value
