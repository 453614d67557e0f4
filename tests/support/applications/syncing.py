"""A Starlette application with a sync route: answers with the most calls that ran at once since the last reset."""

import time
from threading import Lock

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

_lock = Lock()
_running = _highest = 0


def _work(request: Request) -> PlainTextResponse:
    global _running, _highest
    with _lock:
        _running += 1
        _highest = max(_highest, _running)
    time.sleep(0.15)
    with _lock:
        _running -= 1
    return PlainTextResponse(str(_highest))


async def _reset(request: Request) -> PlainTextResponse:
    global _highest
    _highest = 0
    return PlainTextResponse("reset")


app = Starlette(routes=[Route("/", _work), Route("/reset", _reset)])
