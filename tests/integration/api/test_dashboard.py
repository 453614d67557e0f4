"""GET /dashboard: three services at the same time, and what becomes of it when they fail."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from local_upstream import LocalUpstream
from paceline import tune
from paceline.pytest_plugin import Retune
from paceline_api.settings import Settings
from paceline_api.upstream import Fault
from reference_api import Start, changed

WHOLE = {
    "users": {"registered": 1000, "active": 137},
    "orders": {"open": 12, "shipped": 480},
    "prices": {"currency": "EUR", "index": 103.2},
    "degraded": [],
}


@pytest.fixture
async def asking(start: Start, settings: Settings, upstream: LocalUpstream) -> AsyncIterator[httpx2.AsyncClient]:
    async with start(
        changed(settings, "upstream", url=upstream.url, attempt_seconds=20, deadline_seconds=30)
    ) as client:
        yield client


async def test_it_says_what_the_three_say(asking: httpx2.AsyncClient) -> None:
    assert (await asking.get("/dashboard")).json() == WHOLE


async def test_the_three_are_asked_before_any_has_answered(asking: httpx2.AsyncClient, upstream: LocalUpstream) -> None:
    for part in ("users", "orders", "prices"):
        upstream.faults[part] = Fault(delay_seconds=60, times=1)
    waiting = asyncio.create_task(asking.get("/dashboard"))
    await upstream.was_asked(3)
    assert upstream.asked == {"users": 1, "orders": 1, "prices": 1}
    waiting.cancel()


async def test_one_connection_is_enough(asking: httpx2.AsyncClient, upstream: LocalUpstream, retune: Retune) -> None:
    await retune(pools={"upstream": 1})
    for part in ("users", "orders", "prices"):
        upstream.faults[part] = Fault(delay_seconds=0)
    responses = await asyncio.gather(*(asking.get("/dashboard") for _ in range(5)))
    assert [response.json() for response in responses] == [WHOLE] * 5
    assert tune.tunables.report()["pools"]["upstream"]["open"] == 1


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(body="no JSON"), Fault(delay_seconds=60)])
async def test_a_part_that_fails_is_null_and_named(
    start: Start, settings: Settings, upstream: LocalUpstream, fault: Fault
) -> None:
    upstream.faults.update(users=Fault(delay_seconds=0), orders=Fault(delay_seconds=0), prices=fault)
    async with start(changed(settings, "upstream", url=upstream.url)) as client:
        response = await client.get("/dashboard")
    assert response.status_code == 200
    assert response.json() == {**WHOLE, "prices": None, "degraded": ["prices"]}


async def test_nothing_at_all_is_502(start: Start, settings: Settings, closed_port: int) -> None:
    async with start(changed(settings, "upstream", url=f"http://127.0.0.1:{closed_port}")) as client:
        response = await client.get("/dashboard")
    assert response.status_code == 502
    assert response.json()["detail"] == "none of users, orders, prices could be had"
