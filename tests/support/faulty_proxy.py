"""A proxy before an API server that fails as told: error answers, refused or silent connections, ERROR events."""

import asyncio
import json
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import aiohttp
from aiohttp import web

T = TypeVar("T")
PASSED_ON = ("Authorization", "Accept", "Content-Type")


class FaultyProxy:
    """A context manager; runs in a thread of its own. Speaks plain HTTP to its clients."""

    def __init__(self, upstream: str, ca: Path) -> None:
        self._upstream = upstream
        self._ssl = ssl.create_default_context(cafile=str(ca))
        with socket.socket() as server:
            server.bind(("127.0.0.1", 0))
            self._port = int(server.getsockname()[1])
        self.url = f"http://127.0.0.1:{self._port}"
        self._fault: Callable[[], Awaitable[web.StreamResponse]] | None = None
        self._watches: set[web.StreamResponse] = set()
        self._thread = threading.Thread(target=self._run, name="faulty proxy")
        self._started = threading.Event()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)

    def answer(self, status: int) -> None:
        """Every request, and every open watch, ends in this status."""

        async def fault() -> web.StreamResponse:
            headers = {"Retry-After": "1"} if status == 429 else {}
            body = {"kind": "Status", "status": "Failure", "code": status, "message": f"told to answer {status}"}
            return web.json_response(body, status=status, headers=headers)

        self._do(self._fail(fault))

    def hang(self) -> None:
        """Every request waits, until `recover` resets its connection."""

        async def fault() -> web.StreamResponse:
            await asyncio.sleep(3600)
            raise AssertionError

        self._do(self._fail(fault))

    def refuse(self) -> None:
        """Nobody listens; open connections are reset."""
        self._do(self._close())

    def recover(self) -> None:
        self._do(self._open())

    @property
    def watches(self) -> int:
        """How many are open."""
        return len(self._watches)

    def send_to_watches(self, event: dict[str, Any]) -> int:
        """Puts an event into every open watch; how many there were."""
        return self._do(self._send(event))

    def _do(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        # A client that goes takes its request with it, or watches would pile up.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        self._site: web.TCPSite | None = None
        connector = aiohttp.TCPConnector()
        self._session = aiohttp.ClientSession(connector=connector, connector_owner=False, auto_decompress=False)
        await self._open()
        self._started.set()
        await self._ended.wait()
        self._break_connections()
        await self._runner.cleanup()
        await self._session.close()
        await connector.close(abort_ssl=True)
        await asyncio.sleep(0)  # the transports close in the loop's next round

    async def _fail(self, fault: Callable[[], Awaitable[web.StreamResponse]]) -> None:
        self._fault = fault
        self._break_connections()

    async def _close(self) -> None:
        if self._site is not None:
            await self._site.stop()
            self._site = None
        self._break_connections()

    async def _open(self) -> None:
        self._fault = None
        self._break_connections()
        if self._site is None:
            self._site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
            await self._site.start()

    def _break_connections(self) -> None:
        assert self._runner.server is not None
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def _send(self, event: dict[str, Any]) -> int:
        for watch in tuple(self._watches):
            await watch.write(json.dumps(event).encode() + b"\n")
        return len(self._watches)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self._fault is not None:
            return await self._fault()
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        async with self._session.request(
            request.method,
            f"{self._upstream}{request.rel_url}",
            headers=headers,
            data=await request.read() or None,
            ssl=self._ssl,
            timeout=aiohttp.ClientTimeout(total=None),
        ) as answer:
            response = web.StreamResponse(status=answer.status)
            response.content_type = answer.content_type
            await response.prepare(request)
            watching = "watch" in request.query
            if watching:
                self._watches.add(response)
            try:
                async for chunk in answer.content.iter_any():
                    await response.write(chunk)
            finally:
                self._watches.discard(response)
                if answer.connection is not None and answer.connection.transport is not None:
                    answer.connection.transport.abort()  # a watch cut short: no farewell, which nobody would wait for
            return response
