"""GET /users/{id}: asked of another service, over HTTP."""

from collections.abc import AsyncIterator

import httpx2
import pytest
from local_upstream import LocalUpstream
from paceline_api.settings import Settings
from paceline_api.upstream import Fault
from reference_api import Start, changed


@pytest.fixture
async def asking(start: Start, settings: Settings, upstream: LocalUpstream) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an API with an upstream that it waits long for: a busy machine is no slow service."""
    async with start(
        changed(settings, "upstream", url=upstream.url, attempt_seconds=20, deadline_seconds=30)
    ) as client:
        yield client


def assert_problem(response: httpx2.Response, status: int, error: str, detail: str) -> None:
    assert response.status_code == status
    assert response.json() == {"error": error, "detail": detail, "request_id": response.headers["x-request-id"]}


async def test_a_user_is_as_the_directory_says(asking: httpx2.AsyncClient) -> None:
    response = await asking.get("/users/8")
    assert response.json() == {"id": 8, "name": "Ada", "email": "ada.8@example.org"}


async def test_nobody_is_404(asking: httpx2.AsyncClient, upstream: LocalUpstream) -> None:
    response = await asking.get("/users/1001")
    assert_problem(response, 404, "NotFound", "the user directory knows no user 1001")
    assert upstream.asked["users"] == 1


@pytest.mark.parametrize("status", [502, 503, 504])
async def test_a_failure_that_passes_is_not_seen(
    asking: httpx2.AsyncClient, upstream: LocalUpstream, status: int
) -> None:
    upstream.faults["users"] = Fault(status=status, delay_seconds=0, times=2)
    assert (await asking.get("/users/8")).status_code == 200
    assert upstream.asked["users"] == 3


async def test_a_failure_that_stays_is_502_after_three_attempts(
    asking: httpx2.AsyncClient, upstream: LocalUpstream
) -> None:
    upstream.faults["users"] = Fault(status=503, delay_seconds=0)
    response = await asking.get("/users/8")
    assert_problem(response, 502, "UpstreamFailed", "upstream: /users/8 returned status 503")
    assert upstream.asked["users"] == 3


async def test_a_failure_that_will_not_pass_is_not_repeated(
    asking: httpx2.AsyncClient, upstream: LocalUpstream
) -> None:
    upstream.faults["users"] = Fault(status=500, delay_seconds=0)
    response = await asking.get("/users/8")
    assert_problem(response, 502, "UpstreamFailed", "upstream: /users/8 returned status 500")
    assert upstream.asked["users"] == 1


@pytest.mark.parametrize("body", ["<html>", '{"id": 8}'], ids=["no JSON", "half a user"])
async def test_another_answer_than_agreed_is_502(
    asking: httpx2.AsyncClient, upstream: LocalUpstream, body: str
) -> None:
    upstream.faults["users"] = Fault(body=body, delay_seconds=0)
    response = await asking.get("/users/8")
    assert_problem(response, 502, "UpstreamFailed", "upstream: /users/8 returned something other than agreed")


async def test_no_response_within_the_deadline_is_504(
    start: Start, settings: Settings, upstream: LocalUpstream
) -> None:
    upstream.faults["users"] = Fault(delay_seconds=60)
    async with start(changed(settings, "upstream", url=upstream.url, deadline_seconds=0.2)) as client:
        response = await client.get("/users/8")
    assert_problem(response, 504, "UpstreamTooSlow", "upstream: no response to /users/8 within the deadline")


async def test_an_attempt_that_takes_too_long_is_repeated(
    start: Start, settings: Settings, upstream: LocalUpstream
) -> None:
    upstream.faults["users"] = Fault(delay_seconds=60, times=1)
    patient = changed(settings, "upstream", url=upstream.url, attempt_seconds=0.5, deadline_seconds=30, attempts=9)
    async with start(patient) as client:
        assert (await client.get("/users/8")).status_code == 200
    assert upstream.asked["users"] > 1


async def test_nobody_there_is_502(start: Start, settings: Settings, closed_port: int) -> None:
    async with start(changed(settings, "upstream", url=f"http://127.0.0.1:{closed_port}")) as client:
        assert_problem(await client.get("/users/8"), 502, "UpstreamFailed", "upstream: it cannot be reached")


@pytest.mark.parametrize("path", ["/users/8", "/dashboard"])
async def test_no_address_is_503_that_names_it_and_the_rest_works(client: httpx2.AsyncClient, path: str) -> None:
    detail = "this installation asks no other service: UPSTREAM_URL is not set"
    assert_problem(await client.get(path), 503, "NotConfigured", detail)
    assert (await client.get("/products")).status_code == 200


@pytest.mark.parametrize("user", ["0", "-1", "ada", "9223372036854775808"])
async def test_an_id_that_cannot_be_is_not_asked_for(
    asking: httpx2.AsyncClient, upstream: LocalUpstream, user: str
) -> None:
    response = await asking.get(f"/users/{user}")
    assert response.status_code == 422
    assert response.json()["detail"].startswith("path.user_id: ")
    assert not upstream.asked
