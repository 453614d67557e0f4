"""Passes that fail are told in the policy's status, as far as anything can be told."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from modelled_fleet import KEY, PINNED, ModelledFleet
from paceline_operator.core.model.decision import Reason
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.loop.telling import LASTING, TellingReconciler
from paceline_operator.ports import PlatformRefused, PlatformUnavailable, PolicyKey
from paceline_operator.settings import OperatorSettings


class Failing:
    """A pass that raises what it is told to; none once there is nothing left."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        if self.errors:
            raise self.errors.pop(0)
        return timedelta(seconds=60)


def telling(fleet: ModelledFleet, *errors: Exception) -> TellingReconciler:
    return TellingReconciler(Failing(*errors), fleet, now=lambda: fleet.now)


async def test_a_mistake_of_ours_is_told_at_once_and_raised() -> None:
    fleet = ModelledFleet(PINNED)
    reconciler = telling(fleet, ZeroDivisionError("float division by zero"))

    with pytest.raises(ZeroDivisionError):
        await reconciler.reconcile(KEY)

    ready = fleet.condition("Ready")
    assert (ready["status"], ready["reason"]) == ("False", "ReconcileFailed")
    assert "ZeroDivisionError: float division by zero" in ready["message"]
    assert fleet.events == [("ReconcileFailed", True)]


async def test_an_api_server_that_fails_for_good_is_told_and_a_hiccup_is_not() -> None:
    fleet, error = ModelledFleet(PINNED), PlatformUnavailable("the API server responded 500 to PUT /configmaps")
    reconciler = telling(fleet, *[error] * LASTING)

    for told in [False] * (LASTING - 1) + [True]:
        with pytest.raises(PlatformUnavailable):
            await reconciler.reconcile(KEY)
        assert bool(fleet.status) is told

    assert fleet.condition("Ready")["reason"] == "PlatformUnavailable"
    assert "responded 500" in fleet.condition("Ready")["message"]
    assert await reconciler.reconcile(KEY) == timedelta(seconds=60)


async def test_passes_that_succeed_in_between_are_no_lasting_failure() -> None:
    fleet, error = ModelledFleet(PINNED), PlatformUnavailable("no")
    failing = Failing()
    reconciler = TellingReconciler(failing, fleet, now=lambda: fleet.now)

    for _ in range(2 * LASTING):
        failing.errors = [error]
        with pytest.raises(PlatformUnavailable):
            await reconciler.reconcile(KEY)
        await reconciler.reconcile(KEY)

    assert fleet.status == {}


async def test_where_nothing_can_be_told_the_pass_fails_all_the_same() -> None:
    fleet = ModelledFleet(PINNED)
    fleet.down = True
    with pytest.raises(KeyError):
        await telling(fleet, KeyError("type")).reconcile(KEY)

    fleet.down = False
    fleet.delete()
    with pytest.raises(KeyError):
        await telling(fleet, KeyError("type")).reconcile(KEY)
    assert fleet.events == []


async def test_a_status_that_may_not_be_written_is_an_event_once(settings: OperatorSettings) -> None:
    fleet = ModelledFleet({**PINNED, "workers": {"value": 0}})

    def refuse() -> Any:
        fleet.before_status = refuse
        raise PlatformRefused(Reason.FORBIDDEN, "tuningpolicies/status is forbidden")

    fleet.before_status = refuse
    reconciler = TellingReconciler(
        Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings), fleet, now=lambda: fleet.now
    )
    for _ in range(5):
        with pytest.raises(PlatformRefused):
            await reconciler.reconcile(KEY)

    assert fleet.events == [("InvalidSpec", True)]
