"""`tune.pool` on real httpx and httpx2 clients: what no other has. What all share is in `test_http_pools.py`."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest
from counting_server import Count
from http_clients import httpx_limits
from paceline import tune
from paceline.errors import AcquireTimeout, PoolError

Servers = tuple[list[str], Count]


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def client(library: Any) -> AsyncIterator[Any]:
    # A busy machine takes its time; httpx allows five seconds.
    async with library.AsyncClient(limits=httpx_limits(library, 40), timeout=60, trust_env=False) as client:
        yield client


async def use(client: Any, url: str) -> None:
    assert (await client.get(url)).content == b"ok"


async def lend(client: Any, url: str, number: int) -> None:
    """Leaves that many connections idle."""
    await asyncio.gather(*(use(client, url) for _ in range(number)))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["upstream"]
    return pool


async def test_a_proxy_has_its_share_of_the_same_limit(library: Any, servers: Servers, tunables: tune.Tunables) -> None:
    (direct, proxied), seen = servers
    mounts = {proxied: library.AsyncHTTPTransport(limits=httpx_limits(library, 10))}
    async with library.AsyncClient(mounts=mounts, limits=httpx_limits(library, 10), trust_env=False) as client:
        tune.pool(client, name="upstream", limit=2, tunables=tunables)
        await asyncio.gather(*(use(client, url) for url in [direct, proxied] * 5))
        await asyncio.gather(*(use(client, url) for url in [proxied] * 5))
    assert seen.highest == 2


async def test_a_body_that_is_not_read_holds_its_connection(
    client: Any, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client, name="upstream", limit=2, tunables=tunables)
    (url, _), _ = servers
    async with client.stream("GET", url):
        assert report(tunables)["inUse"] == 1
    assert report(tunables)["inUse"] == 0


async def test_the_pool_timeout_covers_the_wait(
    library: Any, client: Any, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client, name="upstream", limit=1, tunables=tunables)
    (url, _), _ = servers
    async with client.stream("GET", url):
        with pytest.raises(library.PoolTimeout, match=r"'upstream': .* within 0\.05 s") as raised:
            await client.get(url, timeout=library.Timeout(5, pool=0.05))
    assert isinstance(raised.value.__cause__, AcquireTimeout)
    assert report(tunables)["timeouts"] == 1
    await use(client, url)


async def test_cancelled_and_failed_requests_leak_nothing(
    library: Any, client: Any, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="upstream", limit=3, tunables=tunables)
    (url, _), seen = servers
    for moment in range(150):
        task = asyncio.create_task(use(client, url))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()
    for _ in range(5):
        with pytest.raises(library.ConnectError):
            await use(client, "http://127.0.0.1:1/")

    async def settled() -> bool:
        return bool(report(tunables)["inUse"] == 0 and report(tunables)["open"] == seen.open)

    await eventually(settled, "all permits back")
    await lend(client, url, 20)

    # Not `highest`: the server may accept what a cancelled request opened long after the client has closed it.
    async def bounded() -> bool:
        return bool(report(tunables)["open"] == seen.open <= 3)

    await eventually(bounded, "no more than three connections")


async def test_what_cannot_be_limited_is_refused(library: Any, client: Any, tunables: tune.Tunables) -> None:
    with pytest.raises(PoolError, match=r"raise max_connections \(now 40\)"):
        tune.pool(client, name="upstream", limit=41, tunables=tunables)
    async with library.AsyncClient(limits=httpx_limits(library, None)) as unbounded:
        with pytest.raises(PoolError, match="max_connections=None knows no bound"):
            tune.pool(unbounded, name="upstream", limit=5, tunables=tunables)
    async with library.AsyncClient(transport=library.MockTransport(lambda _: library.Response(200))) as mocked:
        with pytest.raises(PoolError, match="MockTransport has no connection pool"):
            tune.pool(mocked, name="upstream", limit=5, tunables=tunables)
    client._transport._pool._http2 = True  # as http2=True leaves it, which needs one more package
    with pytest.raises(PoolError, match="http2=True"):
        tune.pool(client, name="upstream", limit=5, tunables=tunables)
