"""The reference API in this process, behind an HTTP client."""

from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx2
from fastapi import FastAPI
from paceline.middleware import TrustedProxiesMiddleware
from paceline.trusted_peers import TrustedPeers
from paceline_api.app import create_app
from paceline_api.settings import Settings

Start = Callable[[Settings], AbstractAsyncContextManager[httpx2.AsyncClient]]


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[httpx2.AsyncClient]:
    """A client of an application whose lifespan has started."""
    app = create_app(settings)
    async with app.router.lifespan_context(app) as state:
        transport = httpx2.ASGITransport(with_state(app, dict(state or {})))
        async with httpx2.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


def with_state(app: FastAPI, state: dict[str, Any]) -> Any:
    """What servers do: each request gets its own copy of what the lifespan gave, and proxies are believed."""
    behind_proxies = TrustedProxiesMiddleware(app, trusted=TrustedPeers("127.0.0.1"))

    async def call(scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        await behind_proxies({**scope, "state": dict(state)}, receive, send)

    return call


def changed(settings: Settings, group: str, **values: Any) -> Settings:
    """The settings, with some values of one group changed."""
    return settings.model_copy(update={group: getattr(settings, group).model_copy(update=values)})
