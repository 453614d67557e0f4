"""A Starlette application with a sync route: answers with the most calls that ran at once since the last reset. A call
waits until `?together` have run at once, then a moment longer: one more would show."""

import time
from threading import Condition

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

_changed = Condition()
_running = _highest = 0


def _work(request: Request) -> PlainTextResponse:
    global _running, _highest
    together = int(request.query_params["together"])
    with _changed:
        _running += 1
        _highest = max(_highest, _running)
        _changed.notify_all()
        _changed.wait_for(lambda: _highest >= together, 5)
    time.sleep(0.15)
    with _changed:
        _running -= 1
    return PlainTextResponse(str(_highest))


async def _reset(request: Request) -> PlainTextResponse:
    global _highest
    _highest = 0
    return PlainTextResponse("reset")


app = Starlette(routes=[Route("/", _work), Route("/reset", _reset)])
