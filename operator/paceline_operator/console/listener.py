"""Hears the figures of each pass, as metrics do, and keeps what the console shows. Bounded by policies and by bytes."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from paceline_operator.console.history import Past
from paceline_operator.figures import PolicyFigures
from paceline_operator.ports import PolicyKey

MOST_POLICIES: Final = 500
"""Each takes up to 120 kB, its row of the fleet included: 60 MB."""


class Listener:
    """What is known now."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._policies: dict[PolicyKey, Past] = {}
        self._budgets: dict[PolicyKey, Mapping[str, Any]] = {}
        self.began = now()
        self._news = 0
        self._unheard: set[PolicyKey] = set()

    @property
    def policies(self) -> Mapping[PolicyKey, Past]:
        """What is remembered of each."""
        return MappingProxyType(self._policies)

    @property
    def budgets(self) -> Mapping[PolicyKey, Mapping[str, Any]]:
        """The status of each ConnectionBudget after its latest pass."""
        return MappingProxyType(self._budgets)

    @property
    def unheard(self) -> int:
        """How many policies there is no room for."""
        return len(self._unheard)

    def hides(self, key: PolicyKey) -> bool:
        """Whether this is one of them."""
        return key in self._unheard

    @property
    def version(self) -> str:
        """Another one with each piece of news, and in each process."""
        return f"{self.began.timestamp():.3f}-{self._news}"

    def tell(self, key: PolicyKey, figures: PolicyFigures | None) -> None:
        """Fulfils `figures.Figures`."""
        self._news += 1
        self._unheard.discard(key)
        if figures is None:
            self._policies.pop(key, None)
        elif key in self._policies or len(self._policies) < MOST_POLICIES:
            self._policies[key] = self._policies.get(key, Past()).after(figures, self._now().timestamp())
        else:
            self._unheard.add(key)

    def tell_budget(self, key: PolicyKey, status: Mapping[str, Any] | None) -> None:
        """The status of a budget after a pass; None where it is gone."""
        self._news += 1
        if status is None:
            self._budgets.pop(key, None)
        elif key in self._budgets or len(self._budgets) < MOST_POLICIES:
            self._budgets[key] = status
