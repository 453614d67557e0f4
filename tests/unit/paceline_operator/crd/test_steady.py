"""What is told of conditions that come and go: bad news at once, a fresh `True` once it has lasted."""

from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
from paceline_operator.crd.conditions import Condition, render_conditions
from paceline_operator.crd.steady import Seen, steadied
from situations import NOW

Told = tuple[Literal["True", "False", "Unknown"], str, str]
GOOD: Told = ("True", "PodsReport", "3 of 3 pods report")
NONE: Told = ("Unknown", "NotReporting", "the target has no pods")
SILENT: Told = ("False", "NotReporting", "0 of 3 pods report")
FEW: Told = ("False", "InsufficientTelemetry", "2 of 3 pods report; 80% are needed")


class Watched:
    """One condition as the status tells it, look by look."""

    def __init__(self) -> None:
        self.now: datetime = NOW
        self.seen: Seen = {}
        self.stored: dict[str, Any] = {}

    def look(self, told: Told, minutes: float) -> Told:
        self.now += timedelta(minutes=minutes)
        condition = Condition("TelemetryAvailable", *told)
        found, self.seen = steadied(self.seen, [condition], self.stored, 1, self.now, looked_at={"TelemetryAvailable"})
        self.stored = {"conditions": render_conditions(self.stored, found, 1, self.now)}
        (one,) = found
        return one.status, one.reason, one.message

    def turning(self, one: Told, other: Told) -> None:
        for _ in range(3):
            self.look(one, 1)
            self.look(other, 1)


@pytest.mark.invariant
@pytest.mark.parametrize("between", [(GOOD, NONE), (GOOD, SILENT), (SILENT, NONE), (FEW, GOOD)])
@pytest.mark.parametrize("bad", [NONE, SILENT, FEW])
def test_bad_news_is_told_at_once_with_its_own_reason_and_message(between: tuple[Told, Told], bad: Told) -> None:
    watched = Watched()
    watched.turning(*between)
    status, reason, message = watched.look(bad, 1)

    assert (status, reason) == bad[:2]
    assert message.startswith(bad[2])


@pytest.mark.parametrize("stored", [NONE, SILENT, FEW])
def test_good_news_has_to_last_and_until_then_all_of_the_condition_is_what_it_was(stored: Told) -> None:
    watched = Watched()
    watched.turning(GOOD, stored)
    for _ in range(10):
        told = watched.look(GOOD, 0.9)
        assert told == (*stored[:2], f"{stored[2]}; this has changed 6 times within an hour"), "said once"

    assert watched.look(GOOD, 2) == GOOD


def test_what_stays_good_is_told_as_it_is() -> None:
    watched = Watched()
    other: Told = ("True", "AllPodsReport", "4 of 4 pods report")
    watched.turning(SILENT, GOOD)
    assert watched.look(other, 1) == other


def test_the_first_that_is_told_is_told_as_it_is() -> None:
    watched = Watched()
    watched.turning(GOOD, SILENT)
    watched.stored = {}
    assert watched.look(GOOD, 1) == GOOD
