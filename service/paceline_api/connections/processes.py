"""The pod's process pool; its children import what they run, and nothing else of the API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from paceline import tune

from paceline_api.settings import ProcessesSettings


@asynccontextmanager
async def open_processes(settings: ProcessesSettings) -> AsyncIterator[tune.Processes]:
    """Starts nothing before its first call."""
    async with tune.processes(limit=settings.limit, cap=settings.cap, queue=settings.queue) as pool:
        yield pool
