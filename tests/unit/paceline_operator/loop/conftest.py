"""Runs a reconciler over a modelled fleet: passes come when the loop asks for them, and time passes only between."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from modelled_fleet import KEY, ModelledFleet
from paceline_operator.loop.reconcile import Reconciler
from paceline_operator.settings import OperatorSettings

Drive = Callable[..., object]


@pytest.fixture
def settings() -> OperatorSettings:
    return OperatorSettings(ack_poll_seconds=0.001, ack_wait_seconds=0.005)


@pytest.fixture
def reconciler_of(settings: OperatorSettings) -> Callable[[ModelledFleet], Reconciler]:
    def make(fleet: ModelledFleet, journal: Callable[..., None] = lambda line: None) -> Reconciler:
        return Reconciler(fleet, fleet, now=lambda: fleet.now, settings=settings, journal=journal)

    return make


@pytest.fixture
def drive() -> Callable[..., object]:
    async def passes(reconciler: Reconciler, fleet: ModelledFleet, seconds: float) -> None:
        until = fleet.now + timedelta(seconds=seconds)
        while fleet.now < until:
            wait = await reconciler.reconcile(KEY)
            fleet.pass_time(max(wait.total_seconds(), 0.05))

    return passes
