"""A plain ASGI application whose CPU work runs in the pod's process pool: /FUNCTION?FOLDER calls one of `cpu_work`."""

import asyncio
from typing import Any

import cpu_work  # type: ignore[import-not-found]
from paceline import tune
from paceline.errors import PoolFull, ProcessDied

pool = tune.processes(limit=1, cap=3, queue=2)


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    name, folder = scope["path"].strip("/"), scope["query_string"].decode()
    arguments = {"": (), "pid": (), "die": ()}.get(name, (folder, "go"))
    work = asyncio.create_task(_answer(name, arguments))
    gone = asyncio.create_task(_hung_up(receive))
    await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
    gone.cancel()
    if not work.done():
        work.cancel()
        return
    status, body = work.result()
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body.encode()})


async def _answer(name: str, arguments: tuple[str, ...]) -> tuple[int, str]:
    if not name:
        return 200, "ok"
    try:
        return 200, str(await pool.run(getattr(cpu_work, name), *arguments))
    except PoolFull as error:
        return 503, str(error)
    except ProcessDied as error:
        return 500, str(error)


async def _hung_up(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _lifespan(receive: Any, send: Any) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return
