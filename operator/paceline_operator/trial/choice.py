"""Which value is tried, and which pods have it. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from paceline_operator.errors import OperatorError

States: TypeAlias = Mapping[str, Mapping[str, Any]]
"""Each pod's `/state`, by name."""


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
        TrialFailed: no pod reports, or they run different values, as during a rollout.
    """
    if not states:
        raise TrialFailed("no pod responds on its port named paceline: is the image served by `paceline serve`?")
    first, *others = (state["values"] for state in states.values())
    if any(values != first for values in others):
        raise TrialFailed(f"the pods run different values, as during a rollout: {', '.join(sorted(states))}; try later")
    pools = {name: size for name, size in (first.get("pools") or {}).items() if size > 1}
    if pools:
        name = max(pools, key=lambda each: (pools[each], each))
        return Trial(name, pools[name], pools[name] - 1)
    return Trial(None, first["workers"], first["workers"] + 1)


def behind(states: States, trial: Trial, value: int) -> list[str]:
    """Names of the pods that do not run it yet."""
    return sorted(name for name, state in states.items() if trial.read(state) != value)
