"""GET /expensive-data: the figures, and the cache in front of them."""

import asyncio
from collections import defaultdict
from itertools import product
from statistics import fmean

import asyncpg
import httpx2
import pytest
from paceline import tune
from paceline.pytest_plugin import Retune
from paceline_api.schemas.expensive_data import SpreadReport
from paceline_api.settings import Settings
from reference_api import Start


async def test_the_figures_are_right(client: httpx2.AsyncClient, migrated_dsn: str) -> None:
    report = SpreadReport.model_validate_json((await client.get("/expensive-data")).content)
    connection = await asyncpg.connect(migrated_dsn)
    prices = defaultdict(list)
    for row in await connection.fetch("SELECT category, price_cents FROM products"):
        prices[row["category"]].append(row["price_cents"])
    await connection.close()
    assert {one.category for one in report.categories} == set(prices)
    for one in report.categories:
        of_category = prices[one.category]
        difference = fmean(abs(a - b) for a, b in product(of_category, repeat=2))
        assert one.products == len(of_category)
        assert one.mean_price_cents == pytest.approx(fmean(of_category))
        assert one.mean_difference_cents == pytest.approx(difference)
        assert one.gini == pytest.approx(difference / (2 * fmean(of_category)))
    ginis = [one.gini for one in report.categories]
    assert ginis == sorted(ginis, reverse=True)


async def test_the_second_response_is_the_first_one_kept(client: httpx2.AsyncClient) -> None:
    first, second = await client.get("/expensive-data"), await client.get("/expensive-data")
    assert first.headers["cache-status"] == "paceline; fwd=miss; stored"
    assert second.headers["cache-status"].startswith("paceline; hit; ttl=")
    assert (first.headers["age"], second.headers["age"]) == ("0", "0")
    assert first.content == second.content


async def test_many_at_once_ask_the_database_once(client: httpx2.AsyncClient) -> None:
    responses = await asyncio.gather(*(client.get("/expensive-data") for _ in range(20)))
    assert {response.status_code for response in responses} == {200}
    assert tune.tunables.report()["caches"]["responses"]["fetch"]["count"] == 1


async def test_what_one_process_fetched_serves_the_next_one(start: Start, settings: Settings) -> None:
    first = await shared_answer(start, settings)
    async with start(settings) as client:  # with a memory of its own
        second = await client.get("/expensive-data")
    assert second.headers["cache-status"].startswith("paceline; hit; ttl=")
    assert second.content == first.content


async def test_a_ttl_of_zero_asks_the_database_each_time(client: httpx2.AsyncClient, retune: Retune) -> None:
    await client.get("/expensive-data")  # the framework makes its layers with the first request
    await retune(caches={"responses": 0})
    responses = [await client.get("/expensive-data") for _ in range(3)]
    assert [response.headers["cache-status"] for response in responses] == ["paceline; fwd=miss; stored"] * 3


async def test_a_kept_answer_stands_in_while_the_database_fails(
    client: httpx2.AsyncClient, retune: Retune, migrated_dsn: str
) -> None:
    first = await client.get("/expensive-data")
    await retune(caches={"responses": 0})
    connection = await asyncpg.connect(migrated_dsn)
    await connection.execute("ALTER TABLE products RENAME TO products_away")
    try:
        during = await client.get("/expensive-data")
    finally:
        await connection.execute("ALTER TABLE products_away RENAME TO products")
        await connection.close()
    assert (during.status_code, during.content) == (200, first.content)
    assert during.headers["cache-status"] == f"paceline; hit; ttl=-{int(during.headers['age']) + 1}"
    after = await client.get("/expensive-data")
    assert after.headers["cache-status"] == "paceline; fwd=miss; stored"


async def shared_answer(start: Start, settings: Settings) -> httpx2.Response:
    """A response that is in Redis. The write happens behind the response, once; a busy Redis is not waited for long."""
    async with asyncio.timeout(30):
        while True:
            async with start(settings) as client:
                response = await client.get("/expensive-data")
                for _ in range(100):
                    redis = tune.tunables.cache_redis
                    if redis is not None and [
                        key async for key in redis.scan_iter("paceline:*:responses:*}:[0-9a-f]*")
                    ]:
                        return response
                    await asyncio.sleep(0.01)
