"""Serves /metrics on an address of its own, in the event loop that does the work: a blocked loop shows."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from paceline_operator.errors import UsageError


@asynccontextmanager
async def metrics_endpoint(registry: CollectorRegistry, bind: str) -> AsyncIterator[None]:
    """Serves until the block ends; an empty `bind` serves nothing.

    Raises:
        UsageError: `bind` is no HOST:PORT or the port is taken.
    """
    if not bind:
        yield
        return
    host, port = split_bind(bind)

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=generate_latest(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.add_routes([web.get("/metrics", metrics)])
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        message = f"/metrics cannot listen on {bind}: {error.strerror}; free it or set PACELINE_OPERATOR_METRICS_BIND"
        raise UsageError(message) from error
    try:
        yield
    finally:
        await runner.cleanup()


def split_bind(bind: str) -> tuple[str, int]:
    """`"0.0.0.0:8080"` → host and port.

    Raises:
        UsageError: it does not look like that.
    """
    host, _, port = bind.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{bind!r} is no address: write HOST:PORT, such as 0.0.0.0:8080")
    return host.strip("[]"), int(port)
