"""Requests while pods change: each that was sent is waited for and counted."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import aiohttp

_REQUESTS_A_SECOND: Final = 20


@dataclass(slots=True)
class Counts:
    """Of the load."""

    sent: int = 0
    failed: int = 0
    why: str = ""


@asynccontextmanager
async def load(http: aiohttp.ClientSession, url: str | None) -> AsyncIterator[Counts]:
    """Asks `url` all the time; every request that was sent has its response at the end."""
    counts = Counts()
    if url is None:
        yield counts
        return
    ended = asyncio.Event()
    sending = asyncio.create_task(_send(http, url, counts, ended))
    try:
        yield counts
    finally:
        ended.set()
        await sending


async def _send(http: aiohttp.ClientSession, url: str, counts: Counts, ended: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as requests:
        while not ended.is_set():
            counts.sent += 1
            requests.create_task(_ask(http, url, counts))
            with suppress(TimeoutError):
                await asyncio.wait_for(ended.wait(), 1 / _REQUESTS_A_SECOND)


async def _ask(http: aiohttp.ClientSession, url: str, counts: Counts) -> None:
    try:
        async with http.get(url, timeout=aiohttp.ClientTimeout(total=30)) as response:
            await response.read()
            trouble = "" if response.status < 500 else f"HTTP {response.status}"
    except (aiohttp.ClientError, TimeoutError) as error:
        trouble = f"{type(error).__name__} {error}"
    if trouble:
        counts.failed += 1
        counts.why = trouble
