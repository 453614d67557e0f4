"""`tune.pool` on real aiohttp, httpx and httpx2 clients: what the servers count, under load, while the limit moves."""

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from counting_server import Count
from http_clients import CLIENTS, HttpClient, OpenClient
from paceline import tune
from paceline.document.model import Values
from paceline.serve.worker.unregistered import inodes

Servers = tuple[list[str], Count]
CAP = 40


@pytest.fixture(params=CLIENTS)
def open_client(request: pytest.FixtureRequest) -> OpenClient:
    return CLIENTS[request.param]


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[HttpClient]:
    async with open_client(CAP) as client:
        yield client


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["upstream"]
    return pool


def move(tunables: tune.Tunables, limit: int) -> None:
    tunables.apply(Values(pools={"upstream": limit}))


@pytest.mark.parametrize(
    ("open_client", "hosts"),
    [("aiohttp", 1), ("aiohttp", 2), ("httpx", 2), ("httpx2", 2)],
    indirect=["open_client"],
)
async def test_the_servers_see_exactly_the_limit_while_it_moves(
    hosts: int, client: HttpClient, servers: Servers, tunables: tune.Tunables, drive: Any
) -> None:
    kind = type(client.pooled)
    assert tune.pool(client.pooled, name="upstream", limit=5, tunables=tunables) is client.pooled
    assert isinstance(client.pooled, kind)
    urls, seen = servers
    turn = itertools.cycle(urls[:hosts])

    async def count() -> int:
        return seen.open

    async def use() -> None:
        # Long enough that all of them are needed: httpx is too slow to keep forty servers of 3 ms busy.
        assert await client.get(f"{next(turn)}{0.002 * report(tunables)['limit']}") == b"ok"

    after = await drive(tunables, "upstream", use, count)
    assert seen.highest == 38
    assert len(inodes(tunables.sockets())) == after["open"]


async def test_an_idle_connection_makes_room_for_another_host(
    client: HttpClient, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client.pooled, name="upstream", limit=2, tunables=tunables)
    (here, there), seen = servers
    await client.lend(here, 2)
    await client.lend(there, 2)
    assert (seen.highest, seen.opened) == (2, 4)
    await client.lend(there, 2)
    assert seen.opened == 4, "those that are idle are used"


async def test_an_idle_pool_is_trimmed_at_once(
    client: HttpClient, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client.pooled, name="upstream", limit=8, tunables=tunables)
    (url, _), seen = servers
    await client.lend(url, 8)
    move(tunables, 2)
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return bool(report(tunables)["open"] == seen.open == 2)

    await eventually(trimmed, "two connections")


async def test_a_limit_that_flaps_opens_nothing_before_others_are_closed(
    client: HttpClient, servers: Servers, tunables: tune.Tunables
) -> None:
    tune.pool(client.pooled, name="upstream", limit=8, tunables=tunables)
    (url, _), seen = servers
    await client.lend(url, 8)
    move(tunables, 2)
    move(tunables, 8)
    await client.lend(url, 16)
    assert seen.highest == 8


async def test_closing_the_client_frees_the_name(
    open_client: OpenClient, client: HttpClient, servers: Servers, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client.pooled, name="upstream", limit=3, tunables=tunables)
    (url, _), _ = servers
    await client.lend(url, 3)
    await client.close()

    async def gone() -> bool:
        return bool(report(tunables)["open"] == 0)

    await eventually(gone, "no connection")
    async with open_client(4) as again:
        tune.pool(again.pooled, name="upstream", limit=4, tunables=tunables)
        assert await again.get(url) == b"ok"
