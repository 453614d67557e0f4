"""`tune.pool` on a real aiohttp session: what is aiohttp's own. What all clients share is in `test_http_pools.py`."""

import asyncio
import functools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, TCPConnector
from counting_server import Count
from paceline import tune
from paceline.errors import AcquireTimeout, PoolError

Servers = tuple[list[str], Count]


@pytest.fixture
async def session() -> AsyncIterator[ClientSession]:
    async with ClientSession(connector=TCPConnector(limit=40)) as session:
        yield session


async def use(session: ClientSession, url: str) -> None:
    async with session.get(url) as response:
        assert await response.read() == b"ok"


async def lend(session: ClientSession, url: str, number: int) -> None:
    """Leaves that many connections idle."""
    await asyncio.gather(*(use(session, url) for _ in range(number)))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["upstream"]
    return pool


async def test_a_body_that_is_not_read_holds_its_connection(
    session: ClientSession, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(session, name="upstream", limit=2, tunables=tunables)
    assert isinstance(session.connector, TCPConnector)
    (url, _), _ = servers
    async with session.post(url, data=b"") as response:
        response.close()
    async with session.get(url):
        await asyncio.sleep(0)
    assert report(tunables)["inUse"] == 0


async def test_the_connect_timeout_covers_the_wait(
    session: ClientSession, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(session, name="upstream", limit=1, tunables=tunables)
    (url, _), _ = servers
    hanging = asyncio.create_task(use(session, f"{url}60"))
    while not report(tunables)["inUse"]:  # noqa: ASYNC110 - the limiter tells nobody
        await asyncio.sleep(0)
    with pytest.raises(aiohttp.ServerTimeoutError) as raised:
        async with session.get(url, timeout=aiohttp.ClientTimeout(connect=0.05)):
            pass
    assert isinstance(raised.value.__cause__, AcquireTimeout)
    assert report(tunables)["timeouts"] == 1
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    await use(session, url)
    assert report(tunables)["inUse"] == 0


async def test_cancelled_and_failed_requests_leak_nothing(
    session: ClientSession, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(session, name="upstream", limit=3, tunables=tunables)
    (url, _), seen = servers
    for moment in range(150):
        task = asyncio.create_task(use(session, url))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        with pytest.raises(aiohttp.ClientConnectorError):
            await use(session, "http://127.0.0.1:1/")

    async def settled() -> bool:
        return bool(report(tunables)["inUse"] == 0 and report(tunables)["open"] == seen.open)

    await eventually(settled, "all permits back")
    await lend(session, url, 20)

    # Not `highest`: the server may accept what a cancelled request opened long after the client has closed it.
    async def bounded() -> bool:
        return bool(report(tunables)["open"] == seen.open <= 3)

    await eventually(bounded, "no more than three connections")


async def test_an_aiohttp_that_does_not_tell_of_closed_connections_is_refused(tunables: tune.Tunables) -> None:
    async with ClientSession() as session:
        assert session.connector is not None
        session.connector._factory = functools.partial(object)  # type: ignore[assignment]  # as before 3.12.7
        with pytest.raises(PoolError, match=r"3\.12\.7 and newer do"):
            tune.pool(session, name="upstream", limit=5, tunables=tunables)


@pytest.mark.parametrize(
    ("cap", "limit", "problem"),
    [(5, 6, r"raise limit \(now 5\)"), (0, 5, "limit=0 knows no bound")],
    ids=["above-the-cap", "unbounded"],
)
async def test_what_cannot_be_limited_is_refused(cap: int, limit: int, problem: str, tunables: tune.Tunables) -> None:
    async with ClientSession(connector=TCPConnector(limit=cap)) as session:
        with pytest.raises(PoolError, match=problem):
            tune.pool(session, name="upstream", limit=limit, tunables=tunables)
