"""Chance requests, as bytes, to the reference API under `paceline serve`: no undocumented 5xx, and none hangs."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from paceline.local.valkey import valkey
from paceline_api.app import create_app
from raw_fuzz import REFUSALS, Good, fuzz
from serving import Served, eventually, serve_command, serving

pytestmark = [pytest.mark.invariant, pytest.mark.fuzz, pytest.mark.may_block, pytest.mark.timeout(1800)]

NO_WEBSOCKET = 403
"""What a handshake gets at a path that has none."""
UPSTREAM_FAILS = {502, 504}
"""Documented, but nothing is asked here that could fail so."""
FEW_ITERATIONS = b'{"real": 0, "imaginary": 0, "span": 1, "size": 2, "iterations": 10}'
GOOD = Good(
    lines=[
        b"GET /products",
        b"GET /products?limit=2",
        b"GET /items",
        b"POST /items",
        b"GET /items/1",
        b"GET /items/99999999999999999999",
        b"GET /users/1",
        b"GET /dashboard",
        b"GET /documents",
        b"POST /documents",
        b"GET /documents/%00",
        b"GET /expensive-data",
        b"GET /cache/a",
        b"PUT /cache/a",
        b"PUT /cache/%ff",
        b"POST /signup",
        b"POST /auth/token",
        b"GET /auth/me",
        b"POST /auth/logout",
        b"GET /api/data",
        b"POST /process",
        b"GET /healthz",
        b"GET /openapi.json",
        b"GET /docs",
        b"GET /ws/prices",
    ],
    fields=[
        b"Content-Type: application/json",
        b"Content-Type: application/x-www-form-urlencoded",
        b"Content-Type: multipart/form-data; boundary=x",
        b"Content-Type: \xff",
        b"Authorization: Bearer a.b.c",
        b"Authorization: Bearer \xff",
        b"Authorization: Basic",
        b"Accept-Encoding: gzip",
        b"Origin: https://evil.example",
        b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        b"Content-Length: 67",
    ],
    bodies=[
        FEW_ITERATIONS,
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(FEW_ITERATIONS), FEW_ITERATIONS),
        b'{"email": "a@example.org", "password": "correct horse battery"}',
        b"username=a%40example.org&password=%ff",
        b"--x\r\nContent-Disposition: form-data\r\n\r\n--x--\r\n",
        b'{"name": "\\ud800", "price": 1e400}',
        b"[" * 50,
        b"\xff\xfe",
    ],
)


@pytest.fixture(scope="module")
def api(migrated_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with ExitStack() as stack:
        folder = tmp_path_factory.mktemp("fuzz")
        environment = {
            "DATABASE_URL": migrated_dsn,
            "REDIS_URL": stack.enter_context(valkey(folder / "valkey")),
            "SECURITY_REDIS_URL": stack.enter_context(valkey(folder / "security")),
            "API_TOKEN_SECRET": "0123456789abcdef0123456789abcdef",
            "API_RATE_LIMIT_REQUESTS": "1000000000",
            "PACELINE_HEAD_TIMEOUT_SECONDS": "0.5",
            "PACELINE_BODY_TIMEOUT_SECONDS": "0.5",
            "PACELINE_KEEPALIVE_SECONDS": "0.5",
        }
        pod = stack.enter_context(serving(serve_command("paceline_api.app:app"), folder, environment))
        eventually(lambda: pod.ended() or pod.management("/readyz") == 200, "the pod is ready", 60)
        assert not pod.ended(), pod.stderr
        yield pod


def documented() -> set[int]:
    """The statuses that the API's description names."""
    operations = [operation for path in create_app().openapi()["paths"].values() for operation in path.values()]
    return {int(status) for operation in operations for status in operation["responses"]}


def test_nothing_hangs_and_nothing_fails_undocumented(api: Served) -> None:
    workers = api.ready_workers()
    assert asyncio.run(fuzz(api.port, GOOD, {100, 101, NO_WEBSOCKET} | REFUSALS | documented() - UPSTREAM_FAILS)) == []
    assert api.get("/healthz")[0] == 200
    assert api.ready_workers() == workers, "the worker lives"
    assert "Traceback" not in api.stderr
