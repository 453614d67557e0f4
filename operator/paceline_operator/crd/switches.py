"""What a person has switched by annotation: `paceline.dev/paused` and `paceline.dev/rollback`.

Both count on a policy and on its namespace, where they speak for every policy in it; the policy's own word goes
first. Levels, not events: they hold for as long as they are there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from paceline_operator.core.model.tunables import Values
from paceline_operator.core.model.values import values_from_wire
from paceline_operator.core.situation.situation import Held
from paceline_operator.errors import InvalidSpec

PAUSED: Final = "paceline.dev/paused"
ROLLBACK: Final = "paceline.dev/rollback"
BASELINE: Final = "baseline"
_YES: Final = frozenset({"true", "yes", "on", "1", ""})
"""An empty value is what `kubectl annotate policy paceline.dev/paused=` writes: somebody wants a pause."""
_NO: Final = frozenset({"false", "no", "off", "0"})
LONGEST_GENERATION: Final = 19
"""Digits."""
LONGEST_SHOWN: Final = 100
"""Characters of what an annotation says, in a message; it may hold 256 KiB."""
_SWITCHES: Final = (PAUSED, ROLLBACK)

Annotations = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Switches:
    """As understood. `paused_by` says whose word it is, `policy` or `namespace`; None while nobody asks."""

    paused_by: str | None = None
    held: Held | None = None
    """What to go back to; its values are None for the baseline, which pods report."""

    @property
    def paused(self) -> bool:
        return self.paused_by is not None


def read_switches(policy: Annotations, namespace: Annotations, status: Mapping[str, Any]) -> Switches:
    """The switches of a policy; generations to go back to are looked up in its status.

    Raises:
        InvalidSpec: `paused` is neither yes nor no; `rollback` is neither a generation nor `baseline`, or names a
            generation that is not known.
    """
    return Switches(_paused_by(policy, namespace), _held(policy, namespace, status))


def switched(policy: Annotations, namespace: Annotations) -> tuple[str | None, ...]:
    """The annotations as written: equal when nobody has touched a switch in between."""
    return tuple(annotations.get(name) for annotations in (policy, namespace) for name in _SWITCHES)


def _paused_by(policy: Annotations, namespace: Annotations) -> str | None:
    for whose, annotations in (("policy", policy), ("namespace", namespace)):
        if PAUSED in annotations:
            return whose if _yes_or_no(annotations[PAUSED]) else None
    return None


def _yes_or_no(text: str) -> bool:
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise InvalidSpec([f'annotation {PAUSED}: {_shown(text)} is neither yes nor no: write "true" or "false"'])
    return word in _YES


def _held(policy: Annotations, namespace: Annotations, status: Mapping[str, Any]) -> Held | None:
    text = policy.get(ROLLBACK)
    if text is None:
        text = namespace.get(ROLLBACK)
        if text is not None and text.strip().lower() != BASELINE:
            raise _invalid(
                f"{_shown(text)} on the namespace is not {BASELINE!r}: annotate the policy to name a generation"
            )
    if text is None:
        return None
    if text.strip().lower() in (BASELINE, "0"):  # generation 0 is what runs without a document
        return Held(BASELINE, None)
    text = text.strip()
    if not (text.isascii() and text.isdecimal() and len(text) <= LONGEST_GENERATION):
        raise _invalid(f"{_shown(text)} is neither a generation nor {BASELINE!r}: correct or remove it")
    known = dict(_known_generations(status))
    if int(text) not in known:
        kept = ", ".join(map(str, sorted(known))) or "none"
        raise _invalid(f"the values of generation {text} are not known, only those of {kept}: correct or remove it")
    return Held(f"generation {int(text)}", known[int(text)])


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…")


def _invalid(problem: str) -> InvalidSpec:
    return InvalidSpec([f"annotation {ROLLBACK}: {problem}"])


def _known_generations(status: Mapping[str, Any]) -> Iterator[tuple[int, Values]]:
    """Generations and the values that were in force under each, oldest first."""
    for entry in (*(status.get("decisions") or ()), status.get("tuning") or {}):
        try:
            if entry["generation"]:
                yield int(entry["generation"]), values_from_wire(entry["values"])
        except (KeyError, TypeError, ValueError, AttributeError):
            continue
