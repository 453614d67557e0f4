"""Serves /metrics on an address of its own, in the event loop that does the work: a blocked loop shows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from paceline_operator.listening import listening


@asynccontextmanager
async def metrics_endpoint(registry: CollectorRegistry, bind: str) -> AsyncIterator[None]:
    """Serves until the block ends; an empty `bind` serves nothing.

    Raises:
        UsageError: `bind` is no HOST:PORT or the port is taken.
    """
    if not bind:
        yield
        return

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    async with listening(app, bind, what="/metrics", setting="PACELINE_OPERATOR_METRICS_BIND"):
        yield
