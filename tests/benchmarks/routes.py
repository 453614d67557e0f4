"""What a FastAPI route costs, and what it costs compiled: CPU of this thread, in turn, in one process, no server.

python -m tests.benchmarks.routes
"""

import statistics
import time
from dataclasses import dataclass
from typing import Annotated, Any, Final

import uvloop
from fastapi import APIRouter, Depends, FastAPI, Header, Query
from fastapi.security import OAuth2PasswordBearer
from paceline.fastapi import compile_routes
from pydantic import BaseModel

ROUNDS: Final = 25
REQUESTS: Final = 200
"""Of a round: short, so that both meet the same machine."""


class Item(BaseModel):
    name: str
    price: float
    tags: list[str] = []


@dataclass(frozen=True)
class Case:
    name: str
    path: str
    query: bytes = b""
    body: bytes = b""


CASES: Final = (
    Case("path parameter", "/plain/7"),
    Case("bearer dependency", "/bearer/7"),
    Case("bearer, of an included router", "/included/bearer/7"),
    Case("the last of twelve routers", "/group11/7"),
    Case("query and header", "/query", b"a=3&b=zz&c=1&c=2"),
    Case("JSON body, model back", "/items", b"", b'{"name":"x","price":1.5,"tags":["a","b"]}'),
    Case("no return type", "/untyped"),
    Case("yield dependency", "/yield"),
    Case("refused: 422", "/plain/x"),
)


def application() -> FastAPI:
    app = FastAPI(telemetry={"tracing": False, "metrics": False, "logs": False})
    bearer = OAuth2PasswordBearer("token")

    @app.get("/plain/{number}")
    async def plain(number: int) -> dict[str, int]:
        return {"number": number}

    async def with_bearer(number: int, token: Annotated[str, Depends(bearer)]) -> dict[str, int]:
        return {"number": number}

    app.get("/bearer/{number}")(with_bearer)
    router = APIRouter(prefix="/included")
    router.get("/bearer/{number}")(with_bearer)
    _more(app)
    app.include_router(router)
    app.include_router(_many())
    return app


def _many() -> APIRouter:
    """A dozen routers of two routes each, included one by one in a thirteenth."""
    outer = APIRouter()
    for number in range(12):
        inner = APIRouter(prefix=f"/group{number}")

        @inner.get("/{number}")
        async def one(number: int) -> dict[str, int]:
            return {"number": number}

        inner.post("/{number}")(one)
        outer.include_router(inner)
    return outer


def _more(app: FastAPI) -> None:
    async def opened() -> Any:
        yield 1

    @app.get("/query")
    async def query(
        a: int,
        b: str = "x",
        c: Annotated[list[int] | None, Query()] = None,
        key: Annotated[str | None, Header()] = None,
    ) -> dict[str, int]:
        return {"a": a}

    @app.post("/items")
    async def items(item: Item) -> Item:
        return item

    @app.get("/untyped")
    async def untyped():  # type: ignore[no-untyped-def]
        return {"number": 7}

    @app.get("/yield")
    async def entered(number: Annotated[int, Depends(opened)]) -> dict[str, int]:
        return {"number": number}


def scope_of(case: Case) -> dict[str, Any]:
    headers = [(b"host", b"a"), (b"authorization", b"Bearer abc"), (b"user-agent", b"x"), (b"accept", b"*/*")]
    if case.body:
        headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(case.body))]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST" if case.body else "GET",
        "scheme": "http",
        "path": case.path,
        "raw_path": case.path.encode(),
        "query_string": case.query,
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


async def microseconds(app: FastAPI, case: Case, requests: int) -> tuple[float, list[Any]]:
    """CPU of one request, and the last response."""
    scope, sent = scope_of(case), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": case.body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    begun = time.thread_time()
    for _ in range(requests):
        sent.clear()
        await app({**scope}, receive, send)
    return (time.thread_time() - begun) / requests * 1e6, sent


async def measure() -> None:
    apps = application(), application()
    compile_routes(apps[1])
    for case in CASES:
        taken: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            responses = []
            for app, times in zip(apps, taken, strict=True):
                time_taken, response = await microseconds(app, case, REQUESTS)
                times.append(time_taken)
                responses.append(response)
            assert responses[0] == responses[1], case.name
        own, compiled = map(statistics.median, taken)
        print(f"{case.name:32} FastAPI {own:6.1f} µs   compiled {compiled:6.1f} µs   {compiled / own:.2f}", flush=True)


if __name__ == "__main__":
    uvloop.run(measure())
