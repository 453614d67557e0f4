"""GET and PUT /cache/{key} against Valkey."""

import httpx2
import pytest
from paceline_api.routes.cache import MAX_VALUE_BYTES
from redis.asyncio import Redis


async def test_what_was_stored_comes_back_byte_for_byte(client: httpx2.AsyncClient) -> None:
    value = bytes(range(256))
    stored = await client.put("/cache/round-trip", content=value)
    assert (stored.status_code, stored.content) == (204, b"")
    response = await client.get("/cache/round-trip")
    assert (response.status_code, response.content) == (200, value)
    assert response.headers["content-type"] == "application/octet-stream"


async def test_a_value_lives_as_long_as_it_was_asked_to(client: httpx2.AsyncClient, valkey_url: str) -> None:
    await client.put("/cache/short", params={"ttl": 70}, content=b"x")
    await client.put("/cache/usual", content=b"x")
    async with Redis.from_url(valkey_url, driver_info=None) as redis:
        assert 0 < await redis.ttl("cache:short") <= 70
        assert 200 < await redis.ttl("cache:usual") <= 300


async def test_nothing_stored_is_404(client: httpx2.AsyncClient) -> None:
    response = await client.get("/cache/nothing-here")
    assert response.status_code == 404
    assert response.json()["error"] == "NotFound"


@pytest.mark.parametrize("chunked", [False, True], ids=["its length announced", "its length unknown"])
async def test_a_value_that_is_too_large_is_refused_and_not_stored(client: httpx2.AsyncClient, chunked: bool) -> None:
    value = b"x" * (MAX_VALUE_BYTES + 1)

    async def parts() -> object:
        for start in range(0, len(value), 8192):
            yield value[start : start + 8192]

    response = await client.put("/cache/too-large", content=parts() if chunked else value)
    assert response.status_code == 413
    assert response.json()["error"] == "ContentTooLarge"
    assert (await client.get("/cache/too-large")).status_code == 404


async def test_a_value_of_the_largest_size_is_stored(client: httpx2.AsyncClient) -> None:
    assert (await client.put("/cache/largest", content=b"x" * MAX_VALUE_BYTES)).status_code == 204


@pytest.mark.parametrize("key", ["a%20b", "a%2Fb", "%00", "x" * 201])
async def test_a_key_of_other_characters_or_too_long_is_refused(client: httpx2.AsyncClient, key: str) -> None:
    assert (await client.get(f"/cache/{key}")).status_code in {404, 422}
    assert (await client.put(f"/cache/{key}", content=b"x")).status_code in {404, 405, 422}


@pytest.mark.parametrize("ttl", ["0", "-1", "86401", "soon"])
async def test_a_ttl_out_of_range_is_refused(client: httpx2.AsyncClient, ttl: str) -> None:
    response = await client.put("/cache/key", params={"ttl": ttl}, content=b"x")
    assert response.status_code == 422
    assert response.json()["detail"].startswith("query.ttl: ")
