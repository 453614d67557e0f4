"""HTTP clients of several libraries with one face, for what their pools have in common."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import httpx
import httpx2
from aiohttp import ClientSession, TCPConnector


@dataclass(frozen=True)
class HttpClient:
    """`pooled` is what `tune.pool` is given."""

    pooled: Any
    get: Callable[[str], Awaitable[bytes]]
    close: Callable[[], Awaitable[None]]

    async def lend(self, url: str, number: int) -> None:
        """Leaves that many connections idle."""
        await asyncio.gather(*(self.get(url) for _ in range(number)))


OpenClient: TypeAlias = Callable[[int], AbstractAsyncContextManager[HttpClient]]
"""Opens a client whose pool is built for so many connections."""


@asynccontextmanager
async def aiohttp_client(cap: int) -> AsyncIterator[HttpClient]:
    async with ClientSession(connector=TCPConnector(limit=cap)) as session:

        async def get(url: str) -> bytes:
            async with session.get(url) as response:
                return await response.read()

        yield HttpClient(session, get, session.close)


@asynccontextmanager
async def httpx_client(library: Any, cap: int) -> AsyncIterator[HttpClient]:
    limits = httpx_limits(library, cap)
    # A busy machine takes its time; httpx allows five seconds.
    async with library.AsyncClient(limits=limits, timeout=60, trust_env=False) as client:

        async def get(url: str) -> bytes:
            answer: bytes = (await client.get(url)).content
            return answer

        yield HttpClient(client, get, client.aclose)


def httpx_limits(library: Any, number: int | None) -> Any:
    return library.Limits(max_connections=number, max_keepalive_connections=number, keepalive_expiry=60)


CLIENTS: dict[str, OpenClient] = {
    "aiohttp": aiohttp_client,
    "httpx": partial(httpx_client, httpx),
    "httpx2": partial(httpx_client, httpx2),
}
