"""POST /process: CPU work in processes of this test's own."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx2
import psutil
import pytest
from fastapi import Request
from paceline import tune
from paceline_api.mandelbrot import escape_counts
from paceline_api.routes.connected import while_connected
from paceline_api.settings import ProcessesSettings, Settings
from serving import eventually, eventually_async

LONG = {"real": 0, "imaginary": 0, "span": 0.001, "size": 128, "iterations": 10_000}
"""Every point is inside: seconds of work."""


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"processes": ProcessesSettings(limit=1, queue=1)})


@pytest.fixture
async def working(client: httpx2.AsyncClient) -> AsyncIterator[list[asyncio.Task[httpx2.Response]]]:
    """One long request that runs and one that waits; cancelled after the test."""
    requests = [asyncio.create_task(client.post("/process", json=LONG)) for _ in range(2)]
    await eventually_async(lambda: (use()["inUse"], use()["waiting"]) == (1, 1), "one runs, one waits")
    yield requests
    for request in requests:
        request.cancel()
    await asyncio.wait(requests)


def use() -> dict[str, Any]:
    """The pool as `/state` would show it."""
    pool: dict[str, Any] = tune.tunables.report()["pools"]["processes"]
    return pool


async def test_a_tile_is_computed(client: httpx2.AsyncClient) -> None:
    response = await client.post("/process", json={"real": 0, "imaginary": 0, "span": 4, "size": 3, "iterations": 9})
    assert response.status_code == 200
    assert response.json() == {"rows": escape_counts(0, 0, 4, 3, 9)}
    rows = response.json()["rows"]
    assert rows[1][1] == 9, "0 is inside"
    assert rows[0][2] < 9, "4/3 + 4/3 i is outside"


def test_points_escape_when_they_should() -> None:
    assert escape_counts(0, 0, 1e-9, 1, 50) == [[50]]
    assert escape_counts(1, 0, 1e-9, 1, 50) == [[3]]


@pytest.mark.parametrize("field", [{"size": 129}, {"iterations": 0}, {"span": 0}, {"real": "left"}, {"imaginary": 3}])
async def test_bad_input_names_the_field(client: httpx2.AsyncClient, field: dict[str, Any]) -> None:
    response = await client.post("/process", json=field)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(f"body.{next(iter(field))}: ")


async def test_a_full_queue_is_answered_with_503(client: httpx2.AsyncClient, working: object) -> None:
    response = await client.post("/process", json={})
    assert response.status_code == 503
    assert response.json()["error"] == "Busy"
    assert int(response.headers["retry-after"]) >= 1


async def test_the_event_loop_stays_free(client: httpx2.AsyncClient, working: object) -> None:
    assert (await client.get("/healthz")).status_code == 200


async def test_a_request_that_is_given_up_stops_the_work(
    client: httpx2.AsyncClient, working: list[asyncio.Task[httpx2.Response]]
) -> None:
    # One at work counts before its process is there, and the one of an earlier test may still be going.
    await asyncio.to_thread(eventually, lambda: len(children()) == 1, "one process works")
    before = await asyncio.to_thread(children)
    for request in working:
        request.cancel()
    await asyncio.to_thread(eventually, lambda: not before & children(), "its process is gone")
    assert (await client.post("/process", json={"size": 1, "iterations": 1})).status_code == 200


def children() -> set[psutil.Process]:
    """Processes of the pool: children of the fork server."""
    servers = (one for one in psutil.Process().children() if "forkserver" in _command(one))
    return {child for server in servers for child in server.children()}


def _command(process: psutil.Process) -> str:
    """Empty for one that has ended."""
    with suppress(psutil.NoSuchProcess):
        return " ".join(process.cmdline())
    return ""


async def test_work_ends_when_its_client_hangs_up() -> None:
    hung_up = asyncio.Event()
    cancelled = asyncio.Event()

    async def receive() -> dict[str, str]:
        await hung_up.wait()
        return {"type": "http.disconnect"}

    async def work() -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 1

    request = Request({"type": "http"}, receive)
    assert await while_connected(request, asyncio.sleep(0, result=7)) == 7
    waiting = asyncio.create_task(while_connected(request, work()))
    await asyncio.sleep(0)
    hung_up.set()
    assert await waiting is None
    assert cancelled.is_set()
