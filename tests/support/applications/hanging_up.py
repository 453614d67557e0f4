"""Routes whose client hangs up, and one whose background task fails."""

import asyncio
from collections.abc import AsyncIterator

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import StreamingResponse

app = FastAPI(openapi_url=None)


async def _fails() -> None:
    raise RuntimeError("the mail did not go out")


@app.post("/upload")
async def upload(request: Request) -> int:
    return len(await request.body())


@app.get("/background")
async def background(tasks: BackgroundTasks) -> str:
    tasks.add_task(_fails)
    return "accepted"


@app.get("/broken")
async def broken() -> str:
    raise LookupError("broken")


@app.get("/waiting")
@app.post("/waiting")
async def waiting() -> str:
    await asyncio.sleep(0.5)
    return "done"


async def _many_bytes() -> AsyncIterator[bytes]:
    for _ in range(50):
        yield b"x" * 10_000
        await asyncio.sleep(0.02)


@app.get("/streaming")
async def streaming() -> StreamingResponse:
    return StreamingResponse(_many_bytes())
