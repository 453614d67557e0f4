"""The reference API's stand-in for other services, served over HTTP on loopback in this event loop."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import uvicorn
from paceline_api.upstream import Fault, create_upstream


@dataclass(frozen=True, slots=True)
class LocalUpstream:
    """`faults` may be changed at any time; `asked` counts requests, both by part."""

    url: str
    faults: dict[str, Fault]
    asked: Counter[str]

    async def was_asked(self, times: int) -> None:
        """Returns once as many requests have come."""
        async with asyncio.timeout(20):
            while self.asked.total() < times:  # noqa: ASYNC110 - another connection's doing
                await asyncio.sleep(0.005)


@asynccontextmanager
async def local_upstream(delay_seconds: float = 0.1) -> AsyncIterator[LocalUpstream]:
    """Listens from the start on; requests that come before it serves wait."""
    app = create_upstream(delay_seconds)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=0))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield LocalUpstream(f"http://127.0.0.1:{listening.getsockname()[1]}", app.state.faults, app.state.asked)
        finally:
            server.should_exit = True
            await serving
