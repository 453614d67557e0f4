"""Conditions that come and go: bad news is told at once, good news once it has lasted (`core/situation/steady.py`)."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from paceline_operator.core.situation.steady import Steady
from paceline_operator.crd.conditions import Condition

CHANGED: Final = "; this has changed"
Seen: TypeAlias = Mapping[tuple[str, int], Steady]
"""By condition and what it is about: a new generation, which pods have yet to apply, is no fault of theirs."""


def steadied(
    before: Seen,
    conditions: Iterable[Condition],
    previous: Mapping[str, Any],
    generation: int,
    now: datetime,
    *,
    looked_at: AbstractSet[str],
) -> tuple[tuple[Condition, ...], Seen]:
    """What is told of the conditions, and what has been seen of them. What nobody `looked_at` stays as it is."""
    stored = {one["type"]: one for one in previous.get("conditions") or ()}
    seen = {key: steady for key, steady in before.items() if key[1] in (0, generation)}
    told = []
    for condition in conditions:
        if condition.type in looked_at:
            key = condition.type, generation if condition.type == "Converged" else 0
            seen[key] = seen.get(key, Steady()).seen((condition.status, condition.reason), now)
            condition = _told(condition, stored.get(condition.type), seen[key], now)
        told.append(condition)
    return tuple(told), seen


def _told(condition: Condition, stored: Mapping[str, Any] | None, steady: Steady, now: datetime) -> Condition:
    """Bad news as it is; in place of one that has just become true, but may not last, what is stored."""
    if stored is None or not steady.comes_and_goes(now):
        return condition
    turned = f"{CHANGED} {len(steady.turns)} times within an hour"
    if condition.status != "True":
        return replace(condition, message=f"{_plain(condition.message)}{turned}")
    if stored["status"] == "True":
        return condition
    return Condition(condition.type, stored["status"], stored["reason"], f"{_plain(stored['message'])}{turned}")


def _plain(message: str) -> str:
    """As it was before anybody said how often it has changed: what stands was told that before."""
    return message.split(CHANGED)[0]
