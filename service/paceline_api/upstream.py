"""A stand-in for the services that `/users` and `/dashboard` ask, for development, tests and benchmarks.

    uvicorn paceline_api.upstream:app --port 8100
    curl -X PUT 127.0.0.1:8100/faults/orders -d '{"delay_seconds": 5}'      # or {"status": 503}, or {"body": "no JSON"}
    curl -X DELETE 127.0.0.1:8100/faults

Every response comes 100 ms late, as from another machine that has something to do.
"""

import asyncio
from collections import Counter
from typing import Any, Final

from pydantic import BaseModel, ConfigDict
from starlette.applications import Starlette
from starlette.datastructures import State
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

DELAY_SECONDS: Final = 0.1
USERS: Final = 1000
_NAMES: Final = ("Ada", "Barbara", "Edsger", "Frances", "Grace", "Ken", "Margaret", "Tony")


class Fault(BaseModel):
    """How one part behaves instead."""

    model_config = ConfigDict(extra="forbid")

    status: int = 200
    delay_seconds: float = DELAY_SECONDS
    body: str | None = None
    """Instead of what it would say."""
    times: int | None = None
    """After as many requests it is well again; None: never."""


def create_upstream(delay_seconds: float = DELAY_SECONDS) -> Starlette:
    """An upstream of its own: `state.faults` by part, `state.asked` counts requests by part."""
    app = Starlette(
        routes=[
            Route("/users/{id:int}", _user),
            Route("/{part:str}", _part),
            Route("/faults/{part:str}", _set_fault, methods=["PUT"]),
            Route("/faults", _forget_faults, methods=["DELETE"]),
        ]
    )
    app.router.redirect_slashes = False  # its redirects would lead to whatever Host the client named
    app.state.delay_seconds = delay_seconds
    app.state.faults = {}
    app.state.asked = Counter()
    return app


async def _user(request: Request) -> Response:
    number = request.path_params["id"]
    name = _NAMES[number % len(_NAMES)]
    user = {"id": number, "name": name, "email": f"{name.lower()}.{number}@example.org"}
    return await _respond(request, "users", user if number <= USERS else None)


async def _part(request: Request) -> Response:
    part = request.path_params["part"]
    return await _respond(request, part, _PARTS.get(part))


_PARTS: Final[dict[str, Any]] = {
    "users": {"registered": USERS, "active": 137},
    "orders": {"open": 12, "shipped": 480},
    "prices": {"currency": "EUR", "index": 103.2},
}


async def _respond(request: Request, part: str, content: Any) -> Response:
    request.app.state.asked[part] += 1
    fault = _fault(request.app.state, part)
    await asyncio.sleep(fault.delay_seconds)
    if fault.status != 200 or content is None:
        return JSONResponse({"error": "as asked for"}, 404 if content is None else fault.status)
    return JSONResponse(content) if fault.body is None else Response(fault.body)


def _fault(state: State, part: str) -> Fault:
    faults: dict[str, Fault] = state.faults
    fault = faults.get(part) or Fault(delay_seconds=state.delay_seconds)
    if fault.times is not None:
        fault.times -= 1
        if fault.times <= 0:
            del faults[part]
    return fault


async def _set_fault(request: Request) -> Response:
    request.app.state.faults[request.path_params["part"]] = Fault.model_validate_json(await request.body())
    return Response(status_code=204)


async def _forget_faults(request: Request) -> Response:
    request.app.state.faults.clear()
    return Response(status_code=204)


app = create_upstream()
