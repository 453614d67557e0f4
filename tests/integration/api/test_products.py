"""GET /products against PostgreSQL."""

import asyncio

import httpx2
import pytest
from paceline import tune
from paceline.pytest_plugin import Retune
from paceline_api.schemas.products import ProductPage


async def pages(client: httpx2.AsyncClient, limit: int) -> list[ProductPage]:
    """All pages, each checked against the schema that the documentation promises."""
    found = [ProductPage.model_validate_json((await client.get("/products", params={"limit": limit})).content)]
    while found[-1].next is not None:
        response = await client.get("/products", params={"limit": limit, "after": found[-1].next})
        found.append(ProductPage.model_validate_json(response.content))
    return found


async def test_pages_give_every_product_once_in_order(client: httpx2.AsyncClient) -> None:
    found = await pages(client, 99)
    ids = [item.id for page in found for item in page.items]
    assert ids == list(range(1, 1001))
    assert len(found) == 11


async def test_a_last_page_that_is_full_is_followed_by_an_empty_one(client: httpx2.AsyncClient) -> None:
    found = await pages(client, 100)
    assert [len(page.items) for page in found] == [100] * 10 + [0]


@pytest.mark.parametrize(
    ("query", "where"),
    [
        ("limit=0", "query.limit"),
        ("limit=101", "query.limit"),
        ("after=-1", "query.after"),
        ("after=9223372036854775808", "query.after"),
        ("limit=ten", "query.limit"),
    ],
)
async def test_a_bad_query_names_the_parameter(client: httpx2.AsyncClient, query: str, where: str) -> None:
    response = await client.get(f"/products?{query}")
    assert response.status_code == 422
    assert response.json()["error"] == "InvalidRequest"
    assert response.json()["detail"].startswith(f"{where}: ")


async def test_many_at_once_share_one_connection(client: httpx2.AsyncClient, retune: Retune) -> None:
    await retune(pools={"postgres": 1})
    responses = await asyncio.gather(*(client.get("/products") for _ in range(10)))
    assert {response.status_code for response in responses} == {200}
    assert tune.tunables.report()["pools"]["postgres"]["open"] == 1
