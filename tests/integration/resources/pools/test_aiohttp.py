"""`tune.pool` on a real aiohttp session: what is aiohttp's own. What all clients share is in `test_http_pools.py`."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import aiohttp
import pytest
from aiohttp import ClientSession, TCPConnector
from aiohttp.abc import AbstractResolver, ResolveResult
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


@pytest.mark.invariant
async def test_those_that_wait_for_a_busy_host_hold_no_permit(servers: Servers, tunables: tune.Tunables) -> None:
    (here, there), seen = servers
    async with ClientSession(connector=TCPConnector(limit=20, limit_per_host=1)) as session:
        tune.pool(session, name="upstream", limit=5, tunables=tunables)
        waiting = [asyncio.create_task(use(session, f"{here}60")) for _ in range(10)]
        async with asyncio.timeout(10):
            while not seen.open:  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
            for _ in range(3):
                await use(session, there)
        assert report(tunables)["inUse"] == 1
        waiting[0].cancel()
        await use(session, there)
        for each in waiting:
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.gather(*(use(session, here) for _ in range(5)))
        assert (report(tunables)["inUse"], report(tunables)["waiting"]) == (0, 0)


async def test_a_host_serves_in_turn_those_that_came_before_the_limit_and_after(
    servers: Servers, tunables: tune.Tunables
) -> None:
    (here, there), _ = servers
    async with ClientSession(connector=TCPConnector(limit=20, limit_per_host=1)) as session:
        early = asyncio.create_task(use(session, f"{here}0.3"))
        await asyncio.sleep(0.1)
        tune.pool(session, name="upstream", limit=1, tunables=tunables)
        late = asyncio.create_task(use(session, here))
        await asyncio.sleep(0)
        await use(session, there)
        assert not late.done()
        await asyncio.gather(early, late)


class SlowNames(AbstractResolver):
    """Knows every name, but one of them only when it is told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        if host.startswith("slow"):
            await self.go.wait()
        if host.startswith("unknown"):
            raise OSError("no such host")
        flags = socket.AI_NUMERICHOST
        return [ResolveResult(hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=flags)]

    async def close(self) -> None: ...


@pytest.mark.invariant
@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("proxied", [True, False])
async def test_those_that_wait_for_a_name_server_hold_no_permit(
    cached: bool, proxied: bool, servers: Servers, tunables: tune.Tunables
) -> None:
    (here, _), _ = servers
    port = here.rstrip("/").rpartition(":")[2]
    names = SlowNames()
    async with ClientSession(connector=TCPConnector(limit=20, resolver=names, use_dns_cache=cached)) as session:
        tune.pool(session, name="upstream", limit=2, tunables=tunables)

        async def ask(host: str) -> None:
            proxy = f"http://{host}:{port}" if proxied else None
            async with session.get(here if proxied else f"http://{host}:{port}/", proxy=proxy) as response:
                await response.read()

        slow = [asyncio.create_task(_outcome(ask("slow.test"))) for _ in range(5)]
        while not names.asked:  # noqa: ASYNC110 - a resolver tells nobody
            await asyncio.sleep(0)
        async with asyncio.timeout(10):
            await use(session, here)
        if not proxied:
            await ask("quick.test")
            assert names.asked.count("quick.test") == 1, "one lookup for one request"
        assert report(tunables)["inUse"] == 0
        names.go.set()
        await asyncio.gather(*slow)
        with pytest.raises(aiohttp.ClientConnectorDNSError):
            await ask("unknown.test")
        assert report(tunables)["inUse"] == 0


async def _outcome(request: Awaitable[None]) -> None:
    with contextlib.suppress(aiohttp.ClientError):  # the server is no proxy
        await request


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


@pytest.mark.invariant
@pytest.mark.parametrize("options", [{"limit": 20}, {"limit": 20, "limit_per_host": 1}], ids=["limit", "per host"])
async def test_who_waits_while_the_session_is_closed_is_told_at_once(
    options: dict[str, int], servers: Servers, tunables: tune.Tunables
) -> None:
    (url, _), _ = servers
    session = ClientSession(connector=TCPConnector(**options))
    tune.pool(session, name="upstream", limit=1 if "limit_per_host" not in options else 5, tunables=tunables)
    held = asyncio.create_task(use(session, f"{url}60"))
    while not report(tunables)["inUse"]:  # noqa: ASYNC110 - the limiter tells nobody
        await asyncio.sleep(0)
    waiting = [asyncio.create_task(use(session, url)) for _ in range(3)]
    for _ in range(50):
        await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    await session.close()
    async with asyncio.timeout(10):
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, aiohttp.ClientConnectionError) for each in outcomes)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    assert (report(tunables)["inUse"], report(tunables)["waiting"]) == (0, 0)
