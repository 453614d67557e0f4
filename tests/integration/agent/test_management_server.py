"""The management port's server ends at once: every stop of a pod waits for it."""

import asyncio
import time
from contextlib import suppress
from typing import Any

import pytest
from paceline.serve.agent.management import ManagementServer, listen
from paceline.settings import HttpSettings

TRIES = 8
AT_ONCE_SECONDS = 0.05
"""uvicorn takes 0.1 to 0.2 s. On a busy machine the best of a few tries tells."""


def _application(may_respond: asyncio.Event) -> Any:
    async def app(_: Any, __: Any, send: Any) -> None:
        await may_respond.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    return app


async def _client(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /state HTTP/1.1\r\nHost: t\r\n\r\n")
    return reader, writer


@pytest.mark.parametrize("client", [False, True])
async def test_it_ends_at_once_where_nobody_is_asking(client: bool) -> None:
    """An idle connection, such as a scraper keeps, does not count."""
    seconds = []
    for _ in range(TRIES):
        may_respond = asyncio.Event()
        may_respond.set()
        server, listener = ManagementServer(_application(may_respond), HttpSettings()), listen("127.0.0.1", 0)
        port = listener.getsockname()[1]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        reader, writer = await _client(port)
        await reader.readuntil(b"\r\n\r\nok")
        if not client:
            writer.close()
        await asyncio.sleep(0.02)
        began = time.perf_counter()
        server.stop()
        await serving
        seconds.append(time.perf_counter() - began)
        writer.close()
    assert min(seconds) < AT_ONCE_SECONDS


async def test_a_request_that_is_being_handled_gets_its_response() -> None:
    may_respond = asyncio.Event()
    server, listener = ManagementServer(_application(may_respond), HttpSettings()), listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    reader, writer = await _client(port)
    while not server.server_state.tasks:  # noqa: ASYNC110 - uvicorn tells nobody
        await asyncio.sleep(0.01)
    server.stop()
    with suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(serving), 0.2)
    may_respond.set()
    assert (await reader.read()).endswith(b"\r\n\r\nok")
    await serving
    writer.close()
