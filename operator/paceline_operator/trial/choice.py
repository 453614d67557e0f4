"""Which value is tried, and which pods have it. Pure."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from paceline_operator.errors import OperatorError

States: TypeAlias = Mapping[str, Mapping[str, Any] | None]
"""Each pod's `/state`, by name; None of one that does not respond."""


class TrialFailed(OperatorError):
    """The pods did not follow, or a request was lost meanwhile."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A value that is changed, and what it was."""

    pool: str | None
    """None: the number of workers."""
    before: int
    during: int

    @property
    def label(self) -> str:
        return f"pool {self.pool}" if self.pool else "workers"

    def spec(self, value: int) -> dict[str, Any]:
        """The part of a policy that pins it."""
        return {"pools": [{"name": self.pool, "value": value}]} if self.pool else {"workers": {"value": value}}

    def read(self, state: Mapping[str, Any]) -> int | None:
        """What a pod runs, by its `/state`; None while anything is under way."""
        values = state["values"]
        found = (values.get("pools") or {}).get(self.pool) if self.pool else values.get("workers")
        return None if state["tuning"].get("pending") else found


def trial_for(states: States) -> Trial:
    """What costs the least: a connection less of the largest pool, else a worker more.

    Raises:
        TrialFailed: a pod does not respond, or they run different values, as during a rollout.
    """
    first, *others = (state["values"] for state in responding(states))
    if any(values != first for values in others):
        raise TrialFailed(f"the pods run different values, as during a rollout: {', '.join(sorted(states))}; try later")
    pools = {name: size for name, size in (first.get("pools") or {}).items() if size > 1}
    if pools:
        name = max(pools, key=lambda each: (pools[each], each))
        return Trial(name, pools[name], pools[name] - 1)
    return Trial(None, first["workers"], first["workers"] + 1)


def responding(states: States) -> list[Mapping[str, Any]]:
    """What the pods say, which must be all of them. Raises TrialFailed."""
    if not states:
        raise TrialFailed("there is no pod: has the Deployment replicas, and do its pods start?")
    silent = sorted(name for name, state in states.items() if state is None)
    if silent:
        raise TrialFailed(
            f"no response from {', '.join(silent)} on the port named paceline: does `paceline serve` run there, and may"
            " this pod reach it?"
        )
    return [state for state in states.values() if state is not None]


def behind(states: States, trial: Trial, value: int) -> list[str]:
    """Names of the pods that do not run it yet; who does not respond does not."""
    if not states:
        return ["the Deployment, which has no pod"]
    return sorted(name for name, state in states.items() if state is None or trial.read(state) != value)


def noted(trial: Trial, *, had_document: bool) -> str:
    """For an annotation, so that whoever comes after an interrupted trial can take it back."""
    return json.dumps({"pool": trial.pool, "before": trial.before, "hadDocument": had_document})


def read_note(text: str) -> tuple[Trial, bool]:
    """The trial that was noted, and whether there was a document before it. Raises TrialFailed."""
    try:
        note = json.loads(text)
        return Trial(note["pool"], int(note["before"]), int(note["before"])), bool(note["hadDocument"])
    except (ValueError, KeyError, TypeError) as error:
        raise TrialFailed(
            f"an interrupted trial left a note that cannot be read, {text!r}: look at its policy, and delete it"
        ) from error
