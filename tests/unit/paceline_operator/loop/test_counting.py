"""Passes that fail are counted, also those that fail before they begin."""

import asyncio
import contextlib
from datetime import timedelta

import pytest
from modelled_fleet import KEY, PINNED, ModelledFleet
from paceline_operator.core.model.decision import Reason
from paceline_operator.loop.counting import CountingReconciler
from paceline_operator.loop.exclusive import ExclusiveBudgets, ExclusiveReconciler
from paceline_operator.loop.supervisor import Reconcile
from paceline_operator.ports import PlatformRefused, PlatformUnavailable, PolicyKey
from paceline_operator.telemetry.metrics import Metrics

KNOWN = ("PlatformUnavailable", "PlatformRefused")


class Passing:
    """A pass that ends well, or in what it is told to raise."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error

    async def reconcile(self, key: PolicyKey, woken: asyncio.Event | None = None, *, called: bool = True) -> timedelta:
        if self.error is not None:
            raise self.error
        return timedelta(seconds=60)


class Lost:
    """Nobody can tell who holds the namespace."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def other(self, namespace: str) -> str | None:
        raise self.error


async def failures(reconciler: Reconcile) -> dict[str, float]:
    """By kind, once a pass has been made."""
    metrics = Metrics()
    with contextlib.suppress(PlatformUnavailable, ZeroDivisionError):
        await CountingReconciler(reconciler, metrics.failed).reconcile(KEY)
    samples = (each for family in metrics.registry.collect() for each in family.samples)
    name = "paceline_operator_reconcile_failures_total"
    return {each.labels["error"]: each.value for each in samples if each.name == name}


@pytest.mark.parametrize(
    "error", [PlatformUnavailable("the Lease is 31 s old"), PlatformRefused(Reason.FORBIDDEN, "no right to leases")]
)
async def test_a_namespace_that_cannot_be_claimed_is_a_pass_that_fails(error: Exception) -> None:
    claimed = ExclusiveReconciler(Passing(), Lost(error), ModelledFleet(PINNED))
    counted = {**dict.fromkeys(KNOWN, 0.0), type(error).__name__: 1.0}

    assert await failures(claimed) == counted
    assert await failures(ExclusiveBudgets(Passing(), Lost(error), told=lambda key, status: None)) == counted


async def test_whatever_a_pass_ends_in_is_counted_by_its_kind() -> None:
    assert await failures(Passing(ZeroDivisionError())) == {**dict.fromkeys(KNOWN, 0.0), "ZeroDivisionError": 1.0}


async def test_the_usual_kinds_begin_at_zero_so_that_the_first_burst_is_an_increase() -> None:
    assert await failures(Passing()) == dict.fromkeys(KNOWN, 0.0)
