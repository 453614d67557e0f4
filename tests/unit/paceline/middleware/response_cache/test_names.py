"""What statistics and traces call a cached response: by its declared template, with the prefix of its mounts."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from fastapi import FastAPI
from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.resources.registry import Tunables
from paceline.telemetry.route_template import route_template
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

calls: list[str] = []


class Wanted(Exception):
    """What the route raises."""


async def show(request: Request) -> PlainTextResponse:
    calls.append(request.url.path)
    if request.path_params["id"] == "fails":
        raise Wanted
    return PlainTextResponse("shown", 503 if request.path_params["id"] == "is-down" else 200)


def starlette() -> Starlette:
    return Starlette(routes=[Route("/users/{id}", show)])


def fastapi() -> FastAPI:
    app = FastAPI(openapi_url=None)
    app.add_api_route("/users/{id}", show, response_model=None)
    return app


def options(template: str) -> dict[str, Any]:
    return {"routes": {template: CachedRoute(name="users", ttl=60)}, "tunables": Tunables()}


def cached(app: Any, template: str) -> ResponseCacheMiddleware:
    return ResponseCacheMiddleware(app, **options(template))


def arrangements(inner: Any) -> dict[str, tuple[Any, str]]:
    added = inner()
    added.add_middleware(ResponseCacheMiddleware, **options("/users/{id}"))
    within = Middleware(ResponseCacheMiddleware, **options("/users/{id}"))
    return {
        "in front": (cached(inner(), "/users/{id}"), ""),
        "in front of a mount": (cached(Starlette(routes=[Mount("/v1", inner())]), "/v1/users/{id}"), "/v1"),
        "in a mount": (Starlette(routes=[Mount("/v1", cached(inner(), "/users/{id}"))]), "/v1"),
        "in a mount of FastAPI": (FastAPI(routes=[Mount("/v1", cached(inner(), "/users/{id}"))]), "/v1"),
        "in a mount, the whole path": (Starlette(routes=[Mount("/v1", cached(inner(), "/v1/users/{id}"))]), "/v1"),
        "as a mount's middleware": (Starlette(routes=[Mount("/v1", inner(), middleware=[within])]), "/v1"),
        "as the mounted one's": (Starlette(routes=[Mount("/v1", added)]), "/v1"),
        "in a mount, behind CORS": (
            Starlette(routes=[Mount("/v1", CORSMiddleware(cached(inner(), "/users/{id}")))]), "/v1",
        ),
        "in two mounts": (
            Starlette(routes=[Mount("/a", routes=[Mount("/b", cached(inner(), "/users/{id}"))])]), "/a/b",
        ),
        "between two mounts": (
            Starlette(routes=[Mount("/a", cached(Starlette(routes=[Mount("/b", inner())]), "/b/users/{id}"))]), "/a/b",
        ),
        "in a mount with a parameter": (
            Starlette(routes=[Mount("/of/{tenant}", cached(inner(), "/users/{id}"))]), "/of/{tenant}",
        ),
        "in such a mount, the whole path": (
            Starlette(routes=[Mount("/of/{tenant}", cached(inner(), "/of/{tenant}/users/{id}"))]), "/of/{tenant}",
        ),
    }  # fmt: skip


def template(app: Any, path: str, root: str, *headers: tuple[bytes, bytes]) -> str | None:
    scope = {
        "type": "http", "method": "GET", "path": root + path, "raw_path": (root + path).encode(), "query_string": b"",
        "headers": [(b"host", b"a.test"), *headers], "root_path": root, "scheme": "http", "http_version": "1.1",
        "server": ("a.test", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"}, "state": {},
    }  # fmt: skip

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        """Nobody reads it."""

    with suppress(Wanted):
        asyncio.run(app(scope, receive, send))
    return route_template(scope)


@pytest.mark.parametrize("root", ["", "/behind/a/proxy"])
@pytest.mark.parametrize("inner", [starlette, fastapi])
@pytest.mark.parametrize("arrangement", arrangements(starlette))
def test_hits_misses_failures_and_bypasses_have_one_name(arrangement: str, inner: Any, root: str) -> None:
    app, prefix = arrangements(inner)[arrangement]
    path, expected = prefix.replace("{tenant}", "acme"), f"{prefix}/users/{{id}}"
    calls.clear()
    assert [template(app, f"{path}/users/1", root) for _ in range(3)] == [expected] * 3
    if not (root and "whole path" in arrangement):  # such a path is none of the declared ones: nothing is cached
        assert len(calls) == 1, "two hits"
    assert template(app, f"{path}/users/1", root, (b"authorization", b"x")) == expected, "a bypass"
    assert template(app, f"{path}/users/is-down", root) == expected, "a 5xx"
    assert template(app, f"{path}/users/fails", root) == expected, "an exception"


def test_a_cache_declared_with_the_prefix_of_a_proxy_has_it_not_in_the_name() -> None:
    app = cached(starlette(), "/behind/users/{id}")
    assert [template(app, "/users/1", "/behind") for _ in range(2)] == ["/users/{id}"] * 2


def test_paths_of_clients_are_in_no_name() -> None:
    app = Starlette(routes=[Mount("/of/{tenant}", cached(starlette(), "/of/{tenant}/users/{id}"))])
    names = {template(app, f"/of/{number}/users/{number}", "") for number in range(50)}
    assert names == {"/of/{tenant}/users/{id}"}
