"""An application whose every request uses what has metrics of its own: a cache, and a thread of the pool `threads`."""

from paceline import tune
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route


@tune.cache(name="answers", ttl=60, key="answers:{number}")
async def load_answer(number: int) -> str:
    return f"{number}"


async def cached(request: Request) -> PlainTextResponse:
    return PlainTextResponse(await load_answer(42))


def threaded(request: Request) -> PlainTextResponse:
    return PlainTextResponse("done")


app = Starlette(routes=[Route("/", cached), Route("/threaded", threaded)])
