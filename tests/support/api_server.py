"""The reference API and its upstream, served over HTTP by a thread of this process: for clients that block."""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from local_upstream import local_upstream
from paceline_api.app import create_app
from paceline_api.settings import Settings
from reference_api import changed


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """Its address; requests that come before it serves wait."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ended = threading.Event()
        failures: list[BaseException] = []
        thread = threading.Thread(target=_run, args=(settings, listening, ended, failures), name="api server")
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            ended.set()
            thread.join(30)
    assert not failures, failures


def _run(settings: Settings, listening: socket.socket, ended: threading.Event, failures: list[BaseException]) -> None:
    try:
        asyncio.run(_serve(settings, listening, ended))
    except BaseException as error:  # the test's thread tells of it
        failures.append(error)


async def _serve(settings: Settings, listening: socket.socket, ended: threading.Event) -> None:
    async with local_upstream(delay_seconds=0.0) as upstream:
        app = create_app(changed(settings, "upstream", url=upstream.url))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="on", log_config=None, timeout_graceful_shutdown=1))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not (ended.is_set() or serving.done()):  # noqa: ASYNC110 - another thread's doing
            await asyncio.sleep(0.02)
        server.should_exit = True
        await serving
