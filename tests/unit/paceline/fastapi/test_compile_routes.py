"""Which routes become compiled ones, and that they are found, described and refused as before."""

from collections.abc import Callable
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException, Request
from fastapi.routing import APIRoute
from paceline.fastapi import CompiledRoute, compile_routes
from paceline.fastapi.listing import described


def _items() -> APIRouter:
    router = APIRouter(prefix="/items")

    @router.get("/{number}")
    async def item(number: int, x_key: Annotated[str | None, Header()] = None) -> dict[str, Any]:
        return {"number": number, "key": x_key}

    @router.post("/{number}")
    async def change(number: int, name: Annotated[str, Body(embed=True)]) -> dict[str, Any]:
        return {"number": number, "name": name}

    return router


def _shop() -> FastAPI:
    """Routes of its own, of an included router, and of one that this one includes."""
    app, outer = FastAPI(), APIRouter(prefix="/v1")
    outer.include_router(_items())

    async def known(authorization: Annotated[str, Header()]) -> None:
        if authorization != "yes":
            raise HTTPException(401)

    app.include_router(outer, dependencies=[Depends(known)])

    @app.get("/hello")
    async def hello() -> dict[str, str]:
        return {"hello": "you"}

    return app


ASKED = [
    ("GET", "/hello", None),
    ("HEAD", "/hello", None),
    ("POST", "/hello", None),
    ("GET", "/v1/items/7", None),
    ("GET", "/v1/items/x", None),
    ("PUT", "/v1/items/7", None),
    ("POST", "/v1/items/7", {"name": "a"}),
    ("POST", "/v1/items/7", {}),
    ("GET", "/v1/nothing", None),
]


@pytest.mark.parametrize("already_asked", [False, True])
async def test_one_call_compiles_all_routes_of_an_application(asked: Any, already_asked: bool) -> None:
    own, app = _shop(), _shop()
    if already_asked:  # FastAPI has made what it makes of included routes
        await asked.get(app, "/v1/items/7")
    compile_routes(app)
    assert app.openapi() == own.openapi()
    for method, path, body in ASKED:
        for headers in ({}, {"authorization": "yes"}, {"authorization": "no"}):
            options = {"method": method, "headers": headers, "json": body}
            before, after = [await asked.get(each, path, **options) for each in (own, app)]
            assert (after.status_code, after.content) == (before.status_code, before.content), (method, path, headers)
            assert after.headers == before.headers
    assert asked.by_plan == 15


async def test_routes_that_come_later_are_compiled_too(asked: Any) -> None:
    app = FastAPI()
    compile_routes(app)

    @app.get("/later")
    async def later() -> int:
        return 1

    assert (await asked.get(app, "/later")).json() == 1
    assert asked.by_plan == 1


async def test_a_subclass_may_wrap_the_handler(asked: Any) -> None:
    class Timed(CompiledRoute):
        def get_route_handler(self) -> Callable[[Request], Any]:
            handler = super().get_route_handler()

            async def timed(request: Request) -> Any:
                response = await handler(request)
                response.headers["x-took"] = "1"
                return response

            return timed

    app = FastAPI()
    app.router.route_class = Timed

    @app.get("/timed")
    async def timed() -> int:
        return 1

    response = await asked.get(app, "/timed")
    assert (response.json(), response.headers["x-took"], asked.by_plan) == (1, "1", 1)


def test_check_names_the_routes_that_are_left_and_why() -> None:
    app = FastAPI(openapi_url=None)
    compile_routes(app)

    class Mine(APIRoute):
        """As an application has them."""

    @app.get("/one")
    async def one() -> int:
        return 1

    @app.get("/stream")
    async def stream() -> Any:
        yield 1

    app.router.add_api_route("/mine", one, route_class_override=Mine)
    assert described(app.router.routes) == [
        "compiled: 1 of 3 FastAPI routes",
        "not compiled: GET /mine: its class is Mine, not paceline.fastapi.CompiledRoute",
        "not compiled: GET /stream: its endpoint yields what FastAPI streams",
    ]
    assert described([]) == []
