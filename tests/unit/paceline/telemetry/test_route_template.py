"""The pattern of the route that took a request, asked of the frameworks themselves."""

import asyncio
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from litestar import Litestar, get
from litestar.params import FromPath
from paceline.telemetry.route_template import route_template
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Host, Mount, Route


class Named:
    def __init__(self, path: Any) -> None:
        self.path = path


async def show(request: Request) -> PlainTextResponse:
    return PlainTextResponse("shown")


async def files(scope: Any, receive: Any, send: Any) -> None:
    """An application that names no routes."""
    await PlainTextResponse("file")(scope, receive, send)


@get("/orders/{order:int}")
async def order_of(order: FromPath[int]) -> int:
    return order


def users() -> FastAPI:
    app = FastAPI(openapi_url=None)
    items, deep = APIRouter(prefix="/items"), APIRouter()

    @app.get("/users/{id}")
    def user(id: int) -> int:
        return id

    @items.get("/{item}")
    def item(item: str) -> str:
        return item

    @deep.get("/{item}/parts/{part}")
    def part(item: str, part: str) -> str:
        return part

    items.include_router(deep, prefix="/all")
    app.include_router(items, prefix="/api")
    app.add_route("/plain", show)
    return app


def shop() -> FastAPI:
    app = users()
    app.mount("/v1", users())
    app.mount("/v2", users())
    app.mount("/of/{tenant}", users())
    app.mount("/files", files)
    app.mount("/star", Starlette(routes=[Mount("/in", routes=[Route("/users/{id}", show), Mount("/files", files)])]))
    app.mount("/lite", Litestar([order_of]))
    return app


SHOP = shop()


def hosted() -> Starlette:
    return Starlette(routes=[Host("a.test", Starlette(routes=[Mount("/v1", users())]))])


def scope_of(path: str, root: str = "") -> dict[str, Any]:
    return {
        "type": "http", "method": "GET", "path": root + path, "raw_path": (root + path).encode(), "query_string": b"",
        "headers": [(b"host", b"a.test")], "root_path": root, "scheme": "http", "http_version": "1.1",
        "server": ("a.test", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"}, "state": {},
    }  # fmt: skip


def template(app: Any, path: str, root: str = "") -> str | None:
    scope = scope_of(path, root)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody reads it."""

    asyncio.run(app(scope, receive, send))
    return route_template(scope)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param({"route": Named("/products/{id}")}, "/products/{id}", id="a route"),
        pytest.param({"path_template": "/items/{id:int}"}, "/items/{id:int}", id="a template"),
        pytest.param({}, None, id="another framework leaves nothing, and the raw path is not used"),
        pytest.param({"route": object()}, None, id="a route without a path is no template"),
        pytest.param({"route": Named(["/a"])}, None, id="nor is one whose path is no text"),
    ],
)
def test_the_template_is_what_the_framework_left_in_the_scope(found: dict[str, Any], expected: str | None) -> None:
    assert route_template({"type": "http", "path": "/products/42", **found}) == expected


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/users/1", "/users/{id}"),
        ("/plain", "/plain"),
        ("/api/items/bolt", "/api/items/{item}"),
        ("/api/items/all/bolt/parts/2", "/api/items/all/{item}/parts/{part}"),
        ("/v1/users/1", "/v1/users/{id}"),
        ("/v2/users/1", "/v2/users/{id}"),
        ("/v2/plain", "/v2/plain"),
        ("/v1/api/items/bolt", "/v1/api/items/{item}"),
        ("/of/acme/users/1", "/of/{tenant}/users/{id}"),
        ("/of/other/users/2", "/of/{tenant}/users/{id}"),
        ("/star/in/users/1", "/star/in/users/{id}"),
        ("/star/in/files/a/b.txt", "/star/in/files"),
        ("/files/a/b.txt", "/files"),
        ("/unknown", None),
        ("/v1/unknown", None),
        ("/star/unknown", None),
        ("/star/in/unknown", None),
    ],
)
def test_mounted_applications_keep_their_prefix(path: str, root: str, expected: str | None) -> None:
    assert template(SHOP, path, root) == expected


def test_a_mounted_litestar_application_keeps_its_prefix() -> None:
    """Without a proxy's root path: Litestar takes all of it off the path itself."""
    assert template(SHOP, "/lite/orders/3", "") == "/lite/orders/{order}"


def test_an_application_behind_a_host_has_its_mounts() -> None:
    assert template(hosted(), "/v1/users/1") == "/v1/users/{id}"


class Behind:
    """Middleware that passes everything on."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self.app(scope, receive, send)


def rooted(root: str, *mounts: tuple[str, Any], prefix: str = "") -> FastAPI:
    """An application that puts a root path of its own in place of what its mount took."""
    app = FastAPI(openapi_url=None)
    app.root_path = root  # the parameter is deprecated in newer versions, and works on
    app.add_api_route(prefix + "/users/{id}", lambda id: id)
    for path, mounted in mounts:
        app.mount(path, mounted)
    return app


@pytest.mark.parametrize(
    ("mount", "mounted", "path", "expected"),
    [
        pytest.param("/v1", rooted("/v1"), "/v1/users/1", "/v1/users/{id}", id="the same"),
        pytest.param("/v1", rooted("/v1/in"), "/v1/in/users/1", "/v1/in/users/{id}", id="longer"),
        pytest.param("/a/v1", rooted("/a", prefix="/v1"), "/a/v1/users/1", "/a/v1/users/{id}", id="shorter"),
        pytest.param("/v1", rooted("/p/v1", prefix="/v1"), "/v1/users/1", "/v1/users/{id}", id="a proxy's"),
        pytest.param("/{of}", rooted("/acme/in"), "/acme/in/users/1", "/acme/in/users/{id}", id="for a parameter"),
        pytest.param(
            "/v1", rooted("/v1/in", ("/x", users())), "/v1/in/x/users/1", "/v1/in/x/users/{id}", id="mounts below"
        ),
        pytest.param("/v1", Behind(rooted("/v1/in")), "/v1/in/users/1", "/v1/in/users/{id}", id="middleware in front"),
    ],
)
def test_a_mounted_application_may_have_a_root_path_of_its_own(
    mount: str, mounted: Any, path: str, expected: str
) -> None:
    app = FastAPI(openapi_url=None)
    app.mount(mount, mounted)
    assert template(app, path) == expected


def test_what_clients_put_into_a_mounts_parameter_is_remembered_nowhere() -> None:
    app = FastAPI(openapi_url=None)
    app.mount("/of/{tenant}", users())
    for number in range(50):
        assert template(app, f"/of/{number}/users/1") == "/of/{tenant}/users/{id}"
