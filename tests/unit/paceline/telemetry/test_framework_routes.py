"""The routes of Quart and Django, asked of the frameworks themselves."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import django
import pytest
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from fastapi import FastAPI
from paceline.telemetry.framework_routes import name_routes
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.route_template import route_template
from quart import Blueprint, Quart, abort
from quart.signals import request_started
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Mount


def greet(request: HttpRequest, **parts: Any) -> HttpResponse:
    return HttpResponse("greeted")


def fail(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("as the test wants it")


items = [path("", greet), path("<int:item>/", greet), re_path(r"^by/(?P<key>[^/.]+)/$", greet)]
urlpatterns = [
    path("hello/<str:name>", greet),
    path("items/", include(items)),
    path("fails", fail),
    re_path(r"^old/(\d+)$", greet),
    path("", greet),
]


@pytest.fixture(scope="module", autouse=True)
def named() -> Iterator[None]:
    before = BaseHandler.resolve_request
    name_routes()
    name_routes()
    yield
    BaseHandler.resolve_request = before
    for receiver in list(request_started.receivers_for(None)):
        request_started.disconnect(receiver)


@pytest.fixture(scope="module")
def of_django() -> Any:
    if not settings.configured:
        settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="of a test", LOGGING_CONFIG=None)
        django.setup()
    return get_asgi_application()


@pytest.fixture(scope="module")
def of_quart() -> Any:
    app, parts = Quart(__name__, static_folder=None), Blueprint("parts", __name__, url_prefix="/parts")

    @app.route("/hello/<name>", methods=["GET", "POST"])
    async def hello(name: str) -> str:
        return name

    @app.get("/fails")
    async def fails() -> str:
        raise RuntimeError("as the test wants it")

    @app.get("/gone")
    async def gone() -> None:
        abort(410)

    @app.get("/folder/")
    def folder() -> str:
        return "in a thread"

    @parts.get("/<int:part>")
    async def part(part: int) -> str:
        return str(part)

    app.register_blueprint(parts)
    return app


QUART = [
    ("/hello/a", "/hello/<name>"),
    ("/fails", "/fails"),
    ("/gone", "/gone"),
    ("/folder/", "/folder/"),
    ("/parts/3", "/parts/<int:part>"),
    ("/parts/none", None),
    ("/folder", None),
    ("/unknown", None),
]
DJANGO = [
    ("/hello/a", "/hello/<str:name>"),
    ("/", "/"),
    ("/fails", "/fails"),
    ("/items/", "/items/"),
    ("/items/3/", "/items/<int:item>/"),
    ("/items/by/a-b/", "/items/by/(?P<key>[^/.]+)/"),
    ("/old/7", r"/old/(\d+)"),
    ("/unknown", None),
]


def scope_of(path: str, root: str = "", method: str = "GET") -> dict[str, Any]:
    return {
        "type": "http", "method": method, "path": root + path, "raw_path": (root + path).encode(), "query_string": b"",
        "headers": [(b"host", b"a.test")], "root_path": root, "scheme": "http", "http_version": "1.1",
        "server": ("a.test", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"}, "state": {},
    }  # fmt: skip


def ask(app: Any, scope: dict[str, Any]) -> None:
    async def run() -> None:
        asked = False

        async def receive() -> Any:
            nonlocal asked
            if asked:
                await asyncio.Event().wait()
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            """Nobody reads it."""

        await app(scope, receive, send)

    asyncio.run(run())


def template(app: Any, path: str, root: str = "") -> str | None:
    scope = scope_of(path, root)
    ask(app, scope)
    return route_template(scope)


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize(("path", "expected"), QUART)
def test_routes_of_quart_are_named(of_quart: Any, path: str, root: str, expected: str | None) -> None:
    assert template(of_quart, path, root) == expected


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize(("path", "expected"), DJANGO)
def test_routes_of_django_are_named(of_django: Any, path: str, root: str, expected: str | None) -> None:
    assert template(of_django, path, root) == expected


@pytest.mark.parametrize("outer", [FastAPI, Starlette])
@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("wrapped", [False, True])
def test_below_a_mount_they_keep_its_prefix(
    of_quart: Any, of_django: Any, outer: Any, root: str, wrapped: bool
) -> None:
    def mount(prefix: str, app: Any) -> Mount:
        return Mount(prefix, CORSMiddleware(app) if wrapped else app)

    app = outer(routes=[mount("/q", of_quart), Mount("/in", routes=[mount("/{tenant}", of_django)])])
    assert template(app, "/q/parts/3", root) == "/q/parts/<int:part>"
    assert template(app, "/in/acme/items/3/", root) == "/in/{tenant}/items/<int:item>/"


@pytest.mark.invariant
def test_clients_cannot_make_names_up(of_quart: Any, of_django: Any) -> None:
    stats = RequestStats()
    for app in (of_quart, of_django):
        for number in range(20):
            made_up = ("GET", f"/made-up/{number}"), (f"M{number}", "/hello/a"), ("GET", f"/hello/{number}")
            for method, asked in made_up:
                scope = scope_of(asked, method=method)
                ask(app, scope)
                stats.record(scope, 0.1, False)
    groups = {row["group"] for row in stats.report()}
    assert groups <= {
        "GET other", "_OTHER other", "GET /hello/<name>", "GET /hello/<str:name>", "_OTHER /hello/<str:name>",
    }  # fmt: skip
    assert {"GET /hello/<name>", "GET /hello/<str:name>"} < groups


def test_no_framework_is_loaded_for_it() -> None:
    program = (
        "import sys; from paceline.telemetry.framework_routes import name_routes; name_routes();"
        "print(*{'quart', 'django', 'blinker'} & set(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.strip() == ""
