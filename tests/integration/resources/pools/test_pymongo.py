"""`tune.pool` on a real AsyncMongoClient: what the server itself counts, under load, while the limit moves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pymongo
import pytest
from paceline import tune
from paceline.document.model import Values
from paceline.errors import AcquireTimeout, PoolError
from paceline.serve.worker.unregistered import inodes
from pymongo import AsyncMongoClient
from pymongo.errors import InvalidOperation, WaitQueueTimeoutError

WATCHING = 2
"""Connections with which a client watches a server, beside its pool."""

Client = AsyncMongoClient[dict[str, Any]]


@pytest.fixture
async def client(mongo_url: str) -> AsyncIterator[Client]:
    async with AsyncMongoClient(mongo_url, maxPoolSize=40) as client:
        yield client


@pytest.fixture
async def monitor(mongo_url: str) -> AsyncIterator[Client]:
    async with AsyncMongoClient(mongo_url, maxPoolSize=1) as client:
        yield client


async def count(monitor: Client) -> int:
    """Connections of everybody but the monitor, without those that only watch."""
    status = await monitor.admin.command("serverStatus")
    return int(status["connections"]["current"]) - (1 + WATCHING) - WATCHING


async def use(client: Client) -> None:
    await client.shop.documents.find_one({"_id": 1})


async def lend(client: Client, number: int, tunables: tune.Tunables, eventually: Any) -> None:
    """Leaves that many connections idle."""

    async def lent() -> bool:
        await asyncio.gather(*(use(client) for _ in range(4 * number)))
        return bool(report(tunables)["open"] == number)

    await eventually(lent, f"{number} connections")


def report(tunables: tune.Tunables) -> dict[str, Any]:
    pool: dict[str, Any] = tunables.report()["pools"]["mongo"]
    return pool


def move(tunables: tune.Tunables, limit: int) -> None:
    tunables.apply(Values(pools={"mongo": limit}))


async def test_the_server_sees_exactly_the_limit_while_it_moves(
    client: Client, monitor: Client, tunables: tune.Tunables, drive: Any, eventually: Any
) -> None:
    assert tune.pool(client, name="mongo", limit=5, tunables=tunables) is client
    assert isinstance(client, AsyncMongoClient)
    await use(client)

    async def all_watch() -> bool:
        return await count(monitor) == 1

    await eventually(all_watch, "both clients watch the server")
    after = await drive(tunables, "mongo", lambda: use(client), lambda: count(monitor))
    assert after["open"] == 30
    assert len(inodes(tunables.sockets())) == after["open"] + WATCHING


async def test_an_idle_pool_is_trimmed_at_once(client: Client, tunables: tune.Tunables, eventually: Any) -> None:
    tune.pool(client, name="mongo", limit=8, tunables=tunables)
    await lend(client, 8, tunables, eventually)
    move(tunables, 2)
    assert report(tunables)["open"] == 8, "closing connections are still open to the server"

    async def trimmed() -> bool:
        return bool(report(tunables)["open"] == 2)

    await eventually(trimmed, "two connections")


async def test_a_limit_that_flaps_opens_nothing_before_others_are_closed(
    client: Client, tunables: tune.Tunables, eventually: Any
) -> None:
    tune.pool(client, name="mongo", limit=8, tunables=tunables)
    await lend(client, 8, tunables, eventually)
    move(tunables, 2)
    move(tunables, 8)
    uses = [asyncio.create_task(use(client)) for _ in range(16)]
    while not all(each.done() for each in uses):
        assert report(tunables)["open"] <= 8
        await asyncio.sleep(0)
    await asyncio.gather(*uses)


async def test_a_client_that_is_connected_already(client: Client, tunables: tune.Tunables) -> None:
    await asyncio.gather(*(use(client) for _ in range(20)))
    tune.pool(client, name="mongo", limit=1, tunables=tunables)
    await asyncio.gather(*(use(client) for _ in range(20)))
    assert (report(tunables)["open"], report(tunables)["inUse"]) == (1, 0)


async def test_cursors_and_transactions_go_on_while_the_limit_moves(client: Client, tunables: tune.Tunables) -> None:
    tune.pool(client, name="mongo", limit=3, tunables=tunables)
    await client.shop.lines.drop()
    await client.shop.lines.insert_many([{"_id": number} for number in range(200)])

    async def read() -> list[int]:
        return [line["_id"] async for line in client.shop.lines.find(batch_size=5).sort("_id")]

    async def write(number: int) -> None:
        async with client.start_session() as session, await session.start_transaction():
            await client.shop.lines.insert_one({"_id": number}, session=session)
            assert await client.shop.lines.find_one({"_id": number}, session=session)
            await client.shop.lines.delete_one({"_id": number}, session=session)

    async def flap() -> None:
        for limit in [1, 4, 2, 1, 3] * 8:
            move(tunables, limit)
            await use(client)

    tasks = [*(read() for _ in range(4)), *(write(1000 + number) for number in range(4))]
    *results, _ = await asyncio.gather(*tasks, flap())
    assert results == [list(range(200))] * 4 + [None] * 4
    assert report(tunables)["inUse"] == 0
    assert report(tunables)["open"] <= 3


async def test_a_pinned_connection_keeps_its_permit_until_it_is_given_back(
    client: Client, tunables: tune.Tunables
) -> None:
    tune.pool(client, name="mongo", limit=2, tunables=tunables)
    await client.shop.lines.drop()
    await client.shop.lines.insert_many([{"_id": number} for number in range(10)])
    cursor = client.shop.lines.find(batch_size=2, cursor_type=pymongo.CursorType.EXHAUST)
    assert await cursor.next()
    assert report(tunables)["inUse"] == 1
    await cursor.close()
    assert report(tunables)["inUse"] == 0


async def test_a_wait_that_is_too_long_raises_what_pymongo_would_raise(mongo_url: str, tunables: tune.Tunables) -> None:
    async with AsyncMongoClient(mongo_url, maxPoolSize=5, waitQueueTimeoutMS=50) as client:
        tune.pool(client, name="mongo", limit=1, tunables=tunables)
        await use(client)
        server = await client._select_server(pymongo.ReadPreference.PRIMARY, None, "test")
        async with server.pool.checkout():
            with pytest.raises(WaitQueueTimeoutError, match=r"'mongo': .* within 0\.05 s") as raised:
                await use(client)
        assert isinstance(raised.value, AcquireTimeout)
        await use(client)
        assert report(tunables)["timeouts"] >= 2, "pymongo tries a read twice"


async def test_a_timeout_of_pymongos_covers_the_wait(client: Client, tunables: tune.Tunables) -> None:
    tune.pool(client, name="mongo", limit=1, tunables=tunables)
    await use(client)
    server = await client._select_server(pymongo.ReadPreference.PRIMARY, None, "test")
    async with server.pool.checkout():
        with pymongo.timeout(0.5), pytest.raises(WaitQueueTimeoutError, match=r"within 0\.\d+ s"):
            await use(client)


# pymongo leaves the socket of a connect that is cancelled to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")
async def test_cancelled_uses_leak_nothing(client: Client, tunables: tune.Tunables, eventually: Any) -> None:
    tune.pool(client, name="mongo", limit=3, tunables=tunables)
    for moment in range(150):
        task = asyncio.create_task(use(client))
        for _ in range(moment % 30):
            await asyncio.sleep(0)
        task.cancel()

    async def settled() -> bool:
        return bool(report(tunables)["inUse"] == 0)

    await eventually(settled, "all permits back")
    await asyncio.gather(*(use(client) for _ in range(20)))
    assert report(tunables)["open"] <= 3


async def test_a_floor_follows_the_limit_down(mongo_url: str, tunables: tune.Tunables, eventually: Any) -> None:
    async with AsyncMongoClient(mongo_url, maxPoolSize=10, minPoolSize=4) as client:
        tune.pool(client, name="mongo", limit=6, tunables=tunables)

        async def open_is(number: int) -> bool:
            await client._topology.update_pool()  # as the client does each second
            return bool(report(tunables)["open"] == number)

        await use(client)
        await eventually(lambda: open_is(4), "the floor")
        move(tunables, 2)
        await eventually(lambda: open_is(2), "two connections")
        move(tunables, 6)
        await eventually(lambda: open_is(4), "the floor again")


async def test_closing_the_client_frees_the_name(client: Client, mongo_url: str, tunables: tune.Tunables) -> None:
    tune.pool(client, name="mongo", limit=2, tunables=tunables)
    await use(client)
    await client.close()
    with pytest.raises(InvalidOperation):
        await use(client)
    assert (report(tunables)["inUse"], report(tunables)["open"]) == (0, 0)
    async with AsyncMongoClient(mongo_url, maxPoolSize=4) as again:
        tune.pool(again, name="mongo", limit=4, tunables=tunables)
        await use(again)


@pytest.mark.parametrize(
    ("size", "limit", "problem"),
    [(5, 6, r"raise maxPoolSize \(now 5\)"), (0, 5, "maxPoolSize=0 knows no bound")],
    ids=["above-the-cap", "unbounded"],
)
async def test_what_cannot_be_limited_is_refused(size: int, limit: int, problem: str, tunables: tune.Tunables) -> None:
    async with AsyncMongoClient("mongodb://127.0.0.1:1/", maxPoolSize=size) as client:
        with pytest.raises(PoolError, match=problem):
            tune.pool(client, name="mongo", limit=limit, tunables=tunables)
