"""/documents, against a server that speaks MongoDB's protocol."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from paceline import tune
from paceline.pytest_plugin import Retune
from paceline_api.schemas.documents import Document
from paceline_api.settings import Settings
from pydantic import SecretStr
from pymongo import AsyncMongoClient
from reference_api import Start, changed

NEW = {"title": "Returns", "body": "Within 30 days.", "tags": ["policy"]}


@pytest.fixture
async def with_mongo(settings: Settings, mongo_url: str, no_blocking: None) -> AsyncIterator[Settings]:
    """Settings with an empty database."""
    yield changed(settings, "mongo", url=SecretStr(f"{mongo_url}api"), timeout_seconds=30)
    async with AsyncMongoClient[Any](mongo_url) as client:
        await client.drop_database("api")


@pytest.fixture
async def writing(start: Start, with_mongo: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    async with start(with_mongo) as client:
        yield client


async def create(client: httpx2.AsyncClient, **changes: Any) -> httpx2.Response:
    return await client.post("/documents", json={**NEW, **changes})


async def test_what_was_stored_is_found_where_the_response_says(writing: httpx2.AsyncClient) -> None:
    created = await create(writing)
    assert created.status_code == 201
    document = Document.model_validate_json(created.content)
    assert document.model_dump(exclude={"id", "created_at"}) == NEW
    found = await writing.get(created.headers["location"])
    assert found.status_code == 200
    assert found.json() == created.json()


async def test_pages_give_every_document_once_in_order(writing: httpx2.AsyncClient) -> None:
    titles = [f"No. {number}" for number in range(7)]
    for title in titles:
        await create(writing, title=title)
    found, query = [], {"limit": "3"}
    for _ in range(3):
        page = (await writing.get("/documents", params=query)).json()
        found += [item["title"] for item in page["items"]]
        query["after"] = page["next"]
    assert found == titles
    assert page["next"] is None


async def test_no_document_is_404(writing: httpx2.AsyncClient) -> None:
    response = await writing.get("/documents/6742f0a53f1c2d4e5a6b7c8d")
    assert response.status_code == 404
    assert response.json()["detail"] == "there is no document 6742f0a53f1c2d4e5a6b7c8d"


@pytest.mark.parametrize(
    ("change", "where"),
    [({"title": ""}, "body.title"), ({"tags": ["a"] * 21}, "body.tags"), ({"owner": "me"}, "body.owner")],
    ids=["no title", "too many tags", "an unknown field"],
)
async def test_what_cannot_be_stored_names_the_field(
    writing: httpx2.AsyncClient, change: dict[str, Any], where: str
) -> None:
    response = await create(writing, **change)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(f"{where}: ")


@pytest.mark.parametrize("path", ["/documents?after=nonsense", "/documents/nonsense", "/documents?limit=101"])
async def test_a_bad_id_is_not_asked_for(writing: httpx2.AsyncClient, path: str) -> None:
    assert (await writing.get(path)).status_code == 422


async def test_one_connection_serves_many_requests(writing: httpx2.AsyncClient, retune: Retune) -> None:
    await retune(pools={"mongo": 1})
    responses = await asyncio.gather(*(create(writing) for _ in range(10)))
    assert {response.status_code for response in responses} == {201}
    assert tune.tunables.report()["pools"]["mongo"]["open"] == 1


async def test_a_server_that_is_down_is_503_and_the_rest_works(
    start: Start, settings: Settings, closed_port: int
) -> None:
    url = SecretStr(f"mongodb://127.0.0.1:{closed_port}/api")
    async with start(changed(settings, "mongo", url=url, timeout_seconds=0.3)) as client:
        response = await client.get("/documents")
        assert response.status_code == 503
        assert response.json()["error"] == "Unavailable"
        assert (await client.get("/products")).status_code == 200


async def test_no_address_is_503_that_names_it(client: httpx2.AsyncClient) -> None:
    response = await client.get("/documents")
    assert response.status_code == 503
    assert response.json()["error"] == "NotConfigured"
    assert response.json()["detail"] == "this installation has no MongoDB: MONGO_URL is not set"
