"""`tune.pool` on real httpx and httpx2 clients: what the servers count, under load, while the limit moves."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import httpx
import httpx2
import pytest
from counting_server import Count
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.unregistered import inodes

Servers = tuple[list[str], Count]


@pytest.fixture
def tunables() -> tune.Tunables:
    return tune.Tunables()


@pytest.fixture(params=[httpx, httpx2], ids=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
async def client(library: Any) -> AsyncIterator[Any]:
    async with library.AsyncClient(limits=bounds(library, 40), trust_env=False) as client:
        yield client


def bounds(library: Any, number: int | None) -> Any:
    return library.Limits(max_connections=number, max_keepalive_connections=number, keepalive_expiry=60)


async def use(client: Any, url: str) -> None:
    assert (await client.get(url)).content == b"ok"


async def lend(client: Any, url: str, number: int) -> None:
    """Leaves that many connections idle."""
    await asyncio.gather(*(use(client, url) for _ in range(number)))


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["upstream"]
    return pool


def move(tunables: tune.Tunables, limit: int) -> None:
    tunables.apply(Values(pools={"upstream": limit}))


async def test_the_servers_see_exactly_the_limit_while_it_moves(
    library: Any, client: Any, servers: Servers, tunables: tune.Tunables, drive: Any
) -> None:
    assert tune.pool(client, name="upstream", limit=5, tunables=tunables) is client
    assert isinstance(client, library.AsyncClient)
    urls, seen = servers
    turn = itertools.cycle(urls)

    async def count() -> int:
        return seen.open

    watch, load = await drive(
        # Long enough that all of them are needed: httpx is too slow to keep forty servers of 3 ms busy.
        lambda: use(client, f"{next(turn)}{0.002 * report(tunables)['limit']}"),
        lambda limit: move(tunables, limit),
        count,
        lambda: report(tunables),
    )
    assert load.errors == []
    assert watch.violations == []
    assert seen.highest == 38
    after = report(tunables)
    assert (after["limit"], after["inUse"], after["waiting"]) == (30, 0, 0)
    assert after["wait"]["count"] == after["hold"]["count"] >= load.done
    assert len(inodes(tunables.sockets())) == after["open"]


async def test_an_idle_connection_makes_room_for_another_host(
    client: Any, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client, name="upstream", limit=2, tunables=tunables)
    (here, there), seen = servers
    await lend(client, here, 2)
    await lend(client, there, 2)
    assert (seen.highest, seen.opened) == (2, 4)
    await lend(client, there, 2)
    assert seen.opened == 4, "those that are idle are used"


async def test_an_idle_pool_is_trimmed_and_a_limit_that_flaps_opens_nothing_early(
    client: Any, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="upstream", limit=8, tunables=tunables)
    (url, _), seen = servers
    await lend(client, url, 8)
    move(tunables, 2)
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return bool(report(tunables)["open"] == seen.open == 2)

    await eventually(trimmed, "two connections")
    move(tunables, 8)
    await lend(client, url, 8)
    move(tunables, 2)
    move(tunables, 8)
    await lend(client, url, 16)
    assert seen.highest == 8


async def test_a_proxy_has_its_share_of_the_same_limit(library: Any, servers: Servers, tunables: tune.Tunables) -> None:
    (direct, proxied), seen = servers
    mounts = {proxied: library.AsyncHTTPTransport(limits=bounds(library, 10))}
    async with library.AsyncClient(mounts=mounts, limits=bounds(library, 10), trust_env=False) as client:
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


async def test_closing_the_client_frees_the_name(
    library: Any, client: Any, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client, name="upstream", limit=3, tunables=tunables)
    (url, _), _ = servers
    await lend(client, url, 3)
    await client.aclose()
    assert report(tunables)["open"] == 0
    async with library.AsyncClient(limits=bounds(library, 4)) as again:
        tune.pool(again, name="upstream", limit=4, tunables=tunables)
        await use(again, url)


async def test_what_cannot_be_limited_is_refused(library: Any, client: Any, tunables: tune.Tunables) -> None:
    with pytest.raises(PoolError, match=r"raise max_connections \(now 40\)"):
        tune.pool(client, name="upstream", limit=41, tunables=tunables)
    async with library.AsyncClient(limits=bounds(library, None)) as unbounded:
        with pytest.raises(PoolError, match="max_connections=None knows no bound"):
            tune.pool(unbounded, name="upstream", limit=5, tunables=tunables)
    async with library.AsyncClient(transport=library.MockTransport(lambda _: library.Response(200))) as mocked:
        with pytest.raises(PoolError, match="MockTransport has no connection pool"):
            tune.pool(mocked, name="upstream", limit=5, tunables=tunables)
    client._transport._pool._http2 = True  # as http2=True leaves it, which needs one more package
    with pytest.raises(PoolError, match="http2=True"):
        tune.pool(client, name="upstream", limit=5, tunables=tunables)
