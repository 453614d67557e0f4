"""Web pages of named origins may read answers, others may not."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpx2
from paceline_api.settings import CorsSettings, Settings

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]
SHOP = {"Origin": "https://shop.example"}


async def test_nobody_may_unless_named(client: httpx2.AsyncClient) -> None:
    response = await client.get("/healthz", headers=SHOP)
    assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_named_page_may_read_kept_answers_too(start: Start, settings: Settings) -> None:
    named = settings.model_copy(update={"cors": CorsSettings(origins="https://shop.example, https://b.example")})
    async with start(named) as client:
        for _ in range(2):
            response = await client.get("/expensive-data", headers=SHOP)
            assert response.headers["access-control-allow-origin"] == "https://shop.example"
            assert "Cache-Status" in response.headers["access-control-expose-headers"]
        other = await client.get("/expensive-data", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        asked = {**SHOP, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "Authorization"}
        assert (await client.options("/products", headers=asked)).status_code == 200
