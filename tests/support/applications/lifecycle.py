"""A Starlette application that notes in the folder LIFE_NOTES what happens to each worker; START_FAILS and START_WAITS
name files whose presence makes a start-up fail or wait."""

import asyncio
import atexit
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


def _note(event: str) -> None:
    folder = Path(os.environ["LIFE_NOTES"])
    (folder / f"{event}.{os.getpid()}").touch()


@asynccontextmanager
async def _lifespan(application: Starlette) -> AsyncIterator[None]:
    if Path(os.environ.get("START_FAILS", "/nowhere")).exists():
        raise RuntimeError("the database is away")
    while Path(os.environ.get("START_WAITS", "/nowhere")).exists():  # noqa: ASYNC110 - the test is another process
        await asyncio.sleep(0.02)
    atexit.register(_note, "exit")
    _note("startup")
    yield
    _note("shutdown")


async def _pid(request: Request) -> PlainTextResponse:
    await asyncio.sleep(float(request.query_params.get("seconds", "0")))
    return PlainTextResponse(str(os.getpid()))


async def _echo(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"{len(await request.body())} {os.getpid()}")


app = Starlette(routes=[Route("/", _pid), Route("/echo", _echo, methods=["POST"])], lifespan=_lifespan)
