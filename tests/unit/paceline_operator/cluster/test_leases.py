"""Who may take a Lease, and when: never from one who still renews it, whatever any clock says, and never after ever."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from paceline_operator.cluster.leases import Holder, Leases
from paceline_operator.cluster.refusals import Missing
from paceline_operator.ports import Conflict

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
OURS = Holder("machine-a", 1)


class OneLease:
    """The API server, as far as one Lease goes."""

    def __init__(self) -> None:
        self.lease: Mapping[str, Any] | None = None

    async def get(self, path: str) -> Mapping[str, Any]:
        if self.lease is None:
            raise Missing(path)
        return self.lease

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.lease = body
        return body

    async def replace(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.lease = body
        return body


class Clocks:
    """Ours: seconds that only go forward, and a wall clock."""

    def __init__(self) -> None:
        self.seconds, self.wall = 1000.0, NOW


@pytest.fixture
def server() -> OneLease:
    return OneLease()


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


@pytest.fixture
def leases(server: OneLease, clocks: Clocks) -> Leases:
    return Leases(server, OURS, now=lambda: clocks.wall, clock=lambda: clocks.seconds)  # type: ignore[arg-type]


class StrictLease(OneLease):
    """Refuses what was meant for an older version, and takes its time, as an API server does."""

    def __init__(self) -> None:
        super().__init__()
        self.version = 0

    async def get(self, path: str) -> Mapping[str, Any]:
        found = await super().get(path)
        await asyncio.sleep(0)
        return found

    async def create(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if self.lease is not None:
            raise Conflict(path)
        return self._store(body)

    async def replace(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        await asyncio.sleep(0)
        if body["metadata"]["resourceVersion"] != self.version:
            raise Conflict(path)
        return self._store(body)

    def _store(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.version += 1
        self.lease = {**body, "metadata": {**body["metadata"], "resourceVersion": self.version}}
        return self.lease


async def test_the_first_passes_of_many_policies_are_no_other_operator_to_each_other() -> None:
    leases = Leases(StrictLease(), OURS, now=lambda: NOW)  # type: ignore[arg-type]
    assert set(await asyncio.gather(*(leases.other("shop") for _ in range(50)))) == {None}


async def test_operators_of_different_classes_have_a_lease_each(server: OneLease) -> None:
    leases = Leases(server, OURS, operator_class="batch", now=lambda: NOW)  # type: ignore[arg-type]
    assert await leases.other("shop") is None
    assert server.lease is not None
    assert server.lease["metadata"] == {"name": "paceline-operator-batch", "namespace": "shop"}


def renewed(server: OneLease, at: object) -> None:
    server.lease = {"spec": {"holderIdentity": "machine-b_7", "leaseDurationSeconds": 60, "renewTime": at}}


def text(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


SKEWS = [timedelta(hours=-5), timedelta(minutes=-2), timedelta(), timedelta(minutes=2), timedelta(hours=5)]


@pytest.mark.invariant
@pytest.mark.parametrize("skew", SKEWS)
async def test_one_that_renews_it_by_a_clock_that_is_wrong_keeps_it(
    server: OneLease, clocks: Clocks, leases: Leases, skew: timedelta
) -> None:
    for _ in range(40):
        renewed(server, text(clocks.wall + skew))
        assert await leases.other("shop") == "machine-b_7"
        clocks.seconds += 15
        clocks.wall += timedelta(seconds=15)


@pytest.mark.parametrize("renew_time", [*(text(NOW + skew) for skew in SKEWS), "soon", 7, None])
async def test_one_that_does_not_renew_it_any_more_loses_it_after_a_minute_of_ours(
    server: OneLease, clocks: Clocks, leases: Leases, renew_time: object
) -> None:
    renewed(server, renew_time)
    found = []
    for _ in range(6):
        found.append(await leases.other("shop"))
        clocks.seconds += 15

    assert found == ["machine-b_7"] * 5 + [None]
    assert server.lease is not None
    assert server.lease["spec"]["holderIdentity"] == "machine-a_1"


@pytest.mark.invariant
async def test_a_minute_in_which_we_were_away_does_not_count(server: OneLease, clocks: Clocks, leases: Leases) -> None:
    """The API server was down, or this process slept: the other one could not renew it, either."""
    renewed(server, text(NOW))
    assert await leases.other("shop") == "machine-b_7"
    clocks.seconds += 600
    assert await leases.other("shop") == "machine-b_7"

    renewed(server, text(NOW + timedelta(minutes=10)))
    assert await leases.other("shop") == "machine-b_7"


async def test_our_own_wall_clock_may_jump_while_we_hold_it(server: OneLease, clocks: Clocks, leases: Leases) -> None:
    assert await leases.other("shop") is None
    clocks.wall -= timedelta(hours=3)
    clocks.seconds += 31
    renewed(server, text(NOW))

    assert await leases.other("shop") == "machine-b_7", "it was looked at again, and is another's"
