"""No answer leads to the host that a client named: a cache or a mail would carry it to somebody else."""

import httpx2
import pytest
from paceline_api.app import app

pytestmark = pytest.mark.invariant

EVIL = {
    "Host": "evil.example",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "Forwarded": "host=evil.example",
}
PATHS = sorted({*app.openapi()["paths"], "/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/"})
VARIANTS = ["{}", "{}/", "{}//", "//evil.example{}", "/{}", "{}/..", "{}?next=//evil.example", "{};", "{}%2f"]


@pytest.mark.parametrize("path", PATHS)
async def test_no_response_names_the_host_that_was_asked_for(client: httpx2.AsyncClient, path: str) -> None:
    for variant in VARIANTS:
        for method in ("GET", "POST"):
            response = await client.request(method, variant.format(path), headers=EVIL)
            assert not 300 <= response.status_code < 400, (method, variant)
            assert "evil.example" not in response.headers.get("location", ""), (method, variant)
            assert "evil.example" not in str(response.headers), (method, variant)


async def test_a_path_with_a_slash_too_many_is_not_there(client: httpx2.AsyncClient) -> None:
    response = await client.get("/products/")
    assert (response.status_code, response.json()["error"]) == (404, "NotFound")
