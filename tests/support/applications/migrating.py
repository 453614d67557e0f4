"""An application whose start-up migrates an empty database, and fails where somebody else does so at the same time."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

_SECONDS = 0.5


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[None]:
    folder = Path(os.environ["MIGRATING_FOLDER"])
    with (folder / "starts").open("a") as starts:
        starts.write(f"{os.getpid()}\n")
    if not (folder / "tables").exists():
        (folder / "lock").touch(exist_ok=False)
        await asyncio.sleep(_SECONDS)
        while (folder / "hangs").exists():  # noqa: ASYNC110 - the test is another process
            await asyncio.sleep(0.02)
        (folder / "tables").touch()
    yield


app = Starlette(lifespan=lifespan)
