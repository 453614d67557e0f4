"""A Starlette application: lifespan state, a route with a parameter, a streamed answer, a form of error handling."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypedDict

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


class State(TypedDict):
    greeting: str


@asynccontextmanager
async def lifespan(_: Starlette) -> AsyncIterator[State]:
    yield {"greeting": "hello"}


async def greet(request: Request) -> Response:
    return JSONResponse({"greeting": f"{request.state.greeting} {request.path_params['name']}"})


async def stream(_: Request) -> Response:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return StreamingResponse(pieces())


async def refuse(_: Request) -> Response:
    raise HTTPException(418, "short and stout")


app = Starlette(
    routes=[Route("/greet/{name}", greet), Route("/stream", stream), Route("/refuse", refuse)], lifespan=lifespan
)
