"""The page of the fleet, rendered once for each piece of news, a policy's row only where there is news of it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from paceline_operator.console.history import Past
from paceline_operator.console.listener import Listener
from paceline_operator.console.page import fleet_page
from paceline_operator.console.view import Row, fleet_of, row_of, state_of
from paceline_operator.ports import PolicyKey

STANDS: Final = timedelta(seconds=30)
"""Without any news, for how long a page stands: policies that are silent are said to be so in the end."""


class RenderedFleet:
    """The pages of what a listener has heard, as many tabs as there may be."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._rows: dict[PolicyKey, tuple[Past, Row]] = {}
        self._version = ""
        self._rendered: datetime | None = None
        self._page = ""

    def at(self, now: datetime) -> str:
        """The page as of now."""
        version = self._listener.version
        old = self._rendered is None or not timedelta() <= now - self._rendered < STANDS
        if old or version != self._version:
            self._page, self._version, self._rendered = self._render(version, now), version, now
        return self._page

    def _render(self, version: str, now: datetime) -> str:
        heard = self._listener
        self._rows = {key: found for key, found in self._rows.items() if key in heard.policies}
        fleet = fleet_of(heard.policies, heard.budgets, now, self._row)
        return fleet_page(fleet, heard.began, heard.unheard, version=version)

    def _row(self, key: PolicyKey, past: Past, now: float) -> Row:
        known, row = self._rows.get(key, (None, None))
        if row is None or known is not past:
            row = row_of(key, past, now)
        elif (state := state_of(past, now)) != row.state:
            row = replace(row, state=state)
        self._rows[key] = past, row
        return row
