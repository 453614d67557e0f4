"""A Litestar application: lifespan state, a route with a parameter, a streamed answer, a form of error handling."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar, get
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.response import Stream


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.greeting = "hello"
    yield


@get("/greet/{name:str}")
async def greet(name: str, state: State) -> dict[str, str]:
    return {"greeting": f"{state.greeting} {name}"}


@get("/stream")
async def stream() -> Stream:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return Stream(pieces())


@get("/refuse")
async def refuse() -> None:
    raise HTTPException("short and stout", status_code=418)


app = Litestar([greet, stream, refuse], lifespan=[lifespan], openapi_config=None)
