"""`tune.pool` on a real aiohttp session: what the servers count, under load, while the limit moves."""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, TCPConnector
from counting_server import Count
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.unregistered import inodes

Servers = tuple[list[str], Count]


@pytest.fixture
def tunables() -> tune.Tunables:
    return tune.Tunables()


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


def move(tunables: tune.Tunables, limit: int) -> None:
    tunables.apply(Values(pools={"upstream": limit}))


@pytest.mark.parametrize("hosts", [1, 2])
async def test_the_servers_see_exactly_the_limit_while_it_moves(
    hosts: int, session: ClientSession, servers: Servers, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(session, name="upstream", limit=5, tunables=tunables) is session
    assert isinstance(session.connector, TCPConnector)
    urls, seen = servers
    turn = itertools.cycle(urls[:hosts])

    async def count() -> int:
        return seen.open

    watch, load = await drive(
        lambda: use(session, next(turn)), lambda limit: move(tunables, limit), count, lambda: report(tunables)
    )
    assert load.errors == []
    assert watch.violations == []
    assert seen.highest == 38
    after = report(tunables)
    assert (after["limit"], after["inUse"], after["waiting"]) == (30, 0, 0)
    assert after["wait"]["count"] == after["hold"]["count"] >= load.done
    assert len(inodes(tunables.sockets())) == after["open"]


async def test_an_idle_connection_makes_room_for_another_host(
    session: ClientSession, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(session, name="upstream", limit=2, tunables=tunables)
    (here, there), seen = servers
    await lend(session, here, 2)
    await lend(session, there, 2)
    assert (seen.highest, seen.opened) == (2, 4)
    await lend(session, there, 2)
    assert seen.opened == 4, "those that are idle are used"


async def test_an_idle_pool_is_trimmed_at_once(
    session: ClientSession, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(session, name="upstream", limit=8, tunables=tunables)
    (url, _), seen = servers
    await lend(session, url, 8)
    move(tunables, 2)
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return bool(report(tunables)["open"] == seen.open == 2)

    await eventually(trimmed, "two connections")


async def test_a_limit_that_flaps_opens_nothing_before_others_are_closed(
    session: ClientSession, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(session, name="upstream", limit=8, tunables=tunables)
    (url, _), seen = servers
    await lend(session, url, 8)
    move(tunables, 2)
    move(tunables, 8)
    await lend(session, url, 16)
    assert seen.highest == 8


async def test_a_body_that_is_not_read_holds_its_connection(
    session: ClientSession, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(session, name="upstream", limit=2, tunables=tunables)
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
    assert seen.highest <= 3


async def test_closing_the_session_frees_the_name(
    session: ClientSession, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(session, name="upstream", limit=3, tunables=tunables)
    (url, _), _ = servers
    await lend(session, url, 3)
    await session.close()

    async def gone() -> bool:
        return bool(report(tunables)["open"] == 0)

    await eventually(gone, "no connection")
    async with ClientSession(connector=TCPConnector(limit=4)) as again:
        tune.pool(again, name="upstream", limit=4, tunables=tunables)
        await use(again, url)


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
