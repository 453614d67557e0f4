"""/items, by SQLAlchemy, against PostgreSQL."""

import asyncio
from typing import Any

import asyncpg
import httpx2
import pytest
from paceline import tune
from paceline.pytest_plugin import Retune
from paceline_api.schemas.items import Item
from paceline_api.settings import Settings
from pydantic import SecretStr
from reference_api import Start, changed

NEW = {"sku": "LAMP-7", "name": "Swift Lamp", "quantity": 12}

OTHERS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
FOR_THOSE_WHO_WAIT = "SELECT {}(pid) FROM pg_locks WHERE NOT granted"


@pytest.fixture(autouse=True)
async def no_items(migrated_dsn: str) -> None:
    connection = await asyncpg.connect(migrated_dsn)
    await connection.execute("DELETE FROM items")
    await connection.close()


async def create(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post("/items", json={**NEW, **changes})


async def test_what_was_stored_is_found_where_the_response_says(client: httpx2.AsyncClient) -> None:
    created = await create(client)
    assert created.status_code == 201
    item = Item.model_validate_json(created.content)
    assert item.model_dump(exclude={"id", "created_at"}) == NEW
    found = await client.get(created.headers["location"])
    assert found.status_code == 200
    assert found.json() == created.json()


async def test_pages_give_every_item_once_in_order(client: httpx2.AsyncClient) -> None:
    skus = [f"LAMP-{number}" for number in range(7)]
    for sku in skus:
        await create(client, sku=sku)
    found, query = [], {"limit": 3}
    for _ in range(3):
        page = (await client.get("/items", params=query)).json()
        found += [item["sku"] for item in page["items"]]
        query["after"] = page["next"]
    assert found == skus
    assert page["next"] is None


async def test_of_two_that_store_the_same_one_is_told(client: httpx2.AsyncClient) -> None:
    responses = await asyncio.gather(create(client), create(client))
    assert sorted(response.status_code for response in responses) == [201, 409]
    refused = max(responses, key=lambda response: response.status_code)
    assert refused.json()["error"] == "SkuTaken"
    assert refused.json()["detail"] == "there is an item LAMP-7 already"
    assert len((await client.get("/items")).json()["items"]) == 1


async def test_no_item_is_404(client: httpx2.AsyncClient) -> None:
    response = await client.get("/items/9223372036854775807")
    assert response.status_code == 404
    assert response.json()["detail"] == "there is no item 9223372036854775807"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"sku": "lamp"}, "body.sku"),
        ({"name": "a\x00b"}, "body.name"),
        ({"quantity": 2**31}, "body.quantity"),
        ({"quantity": True}, "body.quantity"),
        ({"quantity": "1"}, "body.quantity"),
        ({"price": 1}, "body.price"),
    ],
    ids=["a small letter", "a zero byte", "too many", "no number", "a number in quotes", "an unknown field"],
)
async def test_what_cannot_be_stored_names_the_field(
    client: httpx2.AsyncClient, change: dict[str, Any], where: str
) -> None:
    response = await create(client, **change)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(f"{where}: ")


async def test_one_connection_serves_many_requests(client: httpx2.AsyncClient, retune: Retune) -> None:
    await retune(pools={"items": 1})
    responses = await asyncio.gather(*(create(client, sku=f"LAMP-{number}") for number in range(10)))
    assert {response.status_code for response in responses} == {201}
    assert tune.tunables.report()["pools"]["items"]["open"] == 1


@pytest.mark.parametrize("kind", ["closed_port", "silent_port"])
async def test_a_database_that_is_down_is_503(
    start: Start, settings: Settings, request: pytest.FixtureRequest, kind: str
) -> None:
    url = SecretStr(f"postgresql://postgres@127.0.0.1:{request.getfixturevalue(kind)}/postgres")
    async with start(changed(settings, "postgres", url=url, timeout_seconds=0.2)) as client:
        response = await client.get("/items")
    assert (response.status_code, response.json()["error"]) == (503, "Unavailable")


async def test_connections_that_the_server_closes_are_replaced(client: httpx2.AsyncClient, migrated_dsn: str) -> None:
    assert (await client.get("/items")).status_code == 200
    admin = await asyncpg.connect(migrated_dsn)
    async with asyncio.timeout(30):
        while await admin.fetch(f"SELECT pg_terminate_backend(pid) {OTHERS}"):  # noqa: ASYNC110 - told is not gone
            await asyncio.sleep(0.01)
    await admin.close()
    assert (await client.get("/items")).status_code == 200


@pytest.mark.parametrize("end", ["pg_terminate_backend", "pg_cancel_backend"])
async def test_a_query_that_the_server_ends_is_503(client: httpx2.AsyncClient, migrated_dsn: str, end: str) -> None:
    admin = await asyncpg.connect(migrated_dsn)
    async with admin.transaction():
        await admin.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        waiting = asyncio.create_task(client.get("/items"))
        async with asyncio.timeout(20):
            while not await admin.fetch(FOR_THOSE_WHO_WAIT.format(end)):  # noqa: ASYNC110 - the server knows who waits
                await asyncio.sleep(0.01)
        response = await waiting
    await admin.close()
    assert (response.status_code, response.json()["error"]) == (503, "Unavailable")
