"""Every answer that is not a success has the same shape, and a database that is down does not take the API with it."""

import re

import httpx2
import pytest
from local_upstream import LocalUpstream
from paceline_api.settings import Settings
from pydantic import SecretStr
from reference_api import Start, changed


def postgres_at(port: int) -> SecretStr:
    return SecretStr(f"postgresql://postgres@127.0.0.1:{port}/postgres")


def assert_unavailable(response: httpx2.Response) -> None:
    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert response.json() == {
        "error": "Unavailable",
        "detail": "a database did not respond in time; try again",
        "request_id": response.headers["x-request-id"],
    }


@pytest.mark.parametrize("path", ["/products", "/expensive-data"])
async def test_postgres_down_is_503_and_the_rest_works(
    start: Start, settings: Settings, closed_port: int, path: str
) -> None:
    async with start(changed(settings, "postgres", url=postgres_at(closed_port))) as client:
        assert_unavailable(await client.get(path))
        assert (await client.put("/cache/still-works", content=b"x")).status_code == 204


async def test_redis_down_is_503_and_the_rest_works(start: Start, settings: Settings, closed_port: int) -> None:
    url = SecretStr(f"redis://127.0.0.1:{closed_port}/0")
    async with start(changed(settings, "redis", url=url)) as client:
        assert_unavailable(await client.get("/cache/key"))
        assert (await client.get("/products")).status_code == 200
        assert (await client.get("/expensive-data")).status_code == 200


async def test_a_database_that_says_nothing_is_503_in_time(start: Start, settings: Settings, silent_port: int) -> None:
    silent = changed(settings, "postgres", url=postgres_at(silent_port), timeout_seconds=0.2)
    async with start(silent) as client:
        assert_unavailable(await client.get("/products"))


async def test_a_query_that_takes_too_long_is_503(start: Start, settings: Settings) -> None:
    slow = changed(settings, "postgres", simulated_distance_seconds=1.0, timeout_seconds=0.2)
    async with start(slow) as client:
        assert_unavailable(await client.get("/products"))


async def test_the_liveness_probe_needs_no_database(start: Start, settings: Settings, closed_port: int) -> None:
    async with start(changed(settings, "postgres", url=postgres_at(closed_port))) as client:
        assert (await client.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nothing", 404, "NotFound"),
        ("DELETE", "/products", 405, "MethodNotAllowed"),
    ],
)
async def test_what_does_not_exist_has_the_same_shape(
    client: httpx2.AsyncClient, method: str, path: str, status: int, error: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"] == error
    assert response.json()["request_id"] == response.headers["x-request-id"]


async def test_a_method_that_a_path_lacks_is_told_all_that_it_has(client: httpx2.AsyncClient) -> None:
    assert (await client.delete("/items")).headers["allow"] == "GET, POST"


async def test_a_body_that_is_no_text_is_as_wrong_as_any_other(client: httpx2.AsyncClient) -> None:
    response = await client.post("/items", content=b"\xff", headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]) == (422, "InvalidRequest")


async def test_a_request_keeps_the_id_that_it_came_with(client: httpx2.AsyncClient) -> None:
    response = await client.get("/healthz", headers={"X-Request-ID": "checkout-17.a_B"})
    assert response.headers["x-request-id"] == "checkout-17.a_B"


@pytest.mark.parametrize("given", ["", "a b", "x" * 65, 'a"b', "ä"])
async def test_an_id_that_could_harm_a_log_is_replaced(client: httpx2.AsyncClient, given: str) -> None:
    response = await client.get("/healthz", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_the_links_of_the_front_page_lead_somewhere(
    start: Start, settings: Settings, upstream: LocalUpstream
) -> None:
    async with start(changed(settings, "upstream", url=upstream.url)) as client:
        page = await client.get("/")
        assert page.headers["content-type"].startswith("text/html")
        for link in re.findall(r'href="([^"]+)"', page.text):
            assert (await client.get(f"/{link}")).status_code == 200, link
