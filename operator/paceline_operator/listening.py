"""Serves a small web application on an address of its own, in the event loop that does the work."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from paceline_operator.errors import UsageError


@asynccontextmanager
async def listening(app: web.Application, bind: str, *, what: str, setting: str) -> AsyncIterator[None]:
    """Serves until the block ends. Messages name `what` it is, and the setting that has the address.

    Raises:
        UsageError: `bind` is no HOST:PORT or the port is taken.
    """
    host, port = split_bind(bind)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1.0, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as error:
        await runner.cleanup()
        raise UsageError(f"{what} cannot listen on {bind}: {error.strerror}; free it or set {setting}") from error
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
