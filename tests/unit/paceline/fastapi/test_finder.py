"""The index finds the route that FastAPI's search finds, and leaves the same traces in the scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from asgi_messages import sent_by
from examples import examples
from fastapi import APIRouter, FastAPI, Request, WebSocket
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline.fastapi import compile_routes
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

SEGMENTS = ["a", "b", "{x}", "{x:int}", "{x:path}", "a{x}"]
KINDS = ["GET", "GET", "POST", "starlette", "mount", "websocket"]


@dataclass(frozen=True)
class Declared:
    path: str
    kind: str


@dataclass(frozen=True)
class Group:
    """A router, or the application; a prefix that is empty is one, too."""

    prefix: str
    members: Sequence[Any]


PATHS = st.lists(st.sampled_from(SEGMENTS), min_size=1, max_size=2, unique=True).filter(
    lambda path: sum("{" in segment for segment in path) <= 1
)
ROUTES = st.builds(Declared, PATHS.map(lambda path: "/" + "/".join(path)), st.sampled_from(KINDS))
GROUPS = st.recursive(
    st.lists(ROUTES, min_size=1, max_size=3).map(lambda members: Group("", members)),
    lambda inner: st.builds(
        Group, st.sampled_from(["", "/a", "/b", "/c"]), st.lists(ROUTES | inner, min_size=1, max_size=4)
    ),
    max_leaves=4,
)
ASKED = [
    (method, "/" + "/".join(path))
    for length in (1, 2, 3)
    for path in product(("a", "b", "7", "ax"), repeat=length)
    for method in ("GET", "POST")
]


def _application(group: Group) -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    numbers = iter(range(1000))
    _declare(app, group, numbers)
    return app


def _declare(router: Any, group: Group, numbers: Any) -> None:
    for member in group.members:
        if isinstance(member, Group):
            inner = APIRouter()
            _declare(inner, member, numbers)
            if inner.routes:
                router.include_router(inner, prefix=member.prefix)
        else:
            _add(router, member, next(numbers))


def _add(router: Any, declared: Declared, number: int) -> None:
    async def found(request: Request) -> Any:
        route, context = request.scope["route"], request.scope.get("fastapi", {}).get("effective_route_context")
        return [number, request.path_params, route.path, getattr(context, "path", None), request.scope["path"]]

    async def plain(request: Request) -> PlainTextResponse:
        return PlainTextResponse(f"{number} {request.path_params}")

    async def talk(_: WebSocket) -> None:
        """Nobody does."""

    if declared.kind == "starlette":
        router.routes.append(Route(declared.path, plain))
    elif declared.kind == "mount":
        inner = Starlette(routes=[Route("/{rest:path}", plain)])
        router.mount(declared.path.partition("{")[0].rstrip("/") or "/mounted", inner)
    elif declared.kind == "websocket":
        router.add_api_websocket_route(declared.path, talk)
    else:
        router.add_api_route(declared.path, found, methods=[declared.kind])


@pytest.mark.fuzz
@settings(max_examples=examples(60))
@given(GROUPS)
async def test_the_route_found_is_the_one_that_fastapi_finds(group: Group) -> None:
    own, indexed = _application(group), _application(group)
    compile_routes(indexed)
    for method, path in ASKED:
        assert await sent_by(indexed, method, path) == await sent_by(own, method, path)


async def test_a_route_that_is_added_exchanged_or_removed_counts_at_once(asked: Any) -> None:
    app, router = FastAPI(), APIRouter(prefix="/inner")

    async def one() -> int:
        return 1

    async def two() -> int:
        return 2

    router.add_api_route("/number", one)
    app.include_router(router)
    compile_routes(app)
    assert (await asked.get(app, "/inner/number")).json() == 1
    app.router.routes.insert(0, _route_of(two, "/inner/number"))
    assert (await asked.get(app, "/inner/number")).json() == 2
    app.router.routes[0] = _route_of(two, "/other")
    assert (await asked.get(app, "/inner/number")).json() == 1
    router.routes.clear()
    router._mark_routes_changed()
    assert (await asked.get(app, "/inner/number")).status_code == 404
    assert (await asked.get(app, "/other")).json() == 2


def _route_of(endpoint: Any, path: str) -> Any:
    made = APIRouter()
    made.add_api_route(path, endpoint)
    return made.routes[0]


async def test_included_routes_are_found_without_a_search(monkeypatch: pytest.MonkeyPatch, asked: Any) -> None:
    app, outer, inner = FastAPI(), APIRouter(prefix="/v1"), APIRouter(prefix="/items")

    @inner.get("/{number}")
    async def item(number: int) -> int:
        return number

    outer.include_router(inner)
    app.include_router(outer)
    compile_routes(app)
    assert (await asked.get(app, "/v1/items/7")).json() == 7

    def never(*_: Any) -> Any:
        raise AssertionError("it was searched for")

    monkeypatch.setattr(type(app.router.routes[-1]), "matches", never)
    assert (await asked.get(app, "/v1/items/8")).json() == 8
