"""The management port: /livez /readyz /metrics /state, read-only. A tiny ASGI application; a route makes one call."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl

import orjson
import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from paceline.asgi import ASGIApp, Scope
from paceline.errors import UsageError
from paceline.serve.addresses import family_of
from paceline.serve.protocol.acceptor import Acceptor, Alone
from paceline.serve.protocol.connection import LimitedProtocol
from paceline.serve.protocol.crowd import crowd_of
from paceline.settings import HttpSettings
from paceline.telemetry.metrics import Exemplars, StateCollector

_TEXT: Final = "text/plain; charset=utf-8"
_TICK_SECONDS: Final = 0.1


class Response(NamedTuple):
    """Status, content type and body; bodies are short and made at once."""

    status: int
    content_type: str
    body: bytes


def management_app(
    *,
    state: Callable[[Sequence[str] | None], Mapping[str, Any]],
    unready: Callable[[], str | None],
    app_metrics: Collector | None = None,
    exemplars: Callable[[], Exemplars] = dict,
) -> ASGIApp:
    """The application.

    Args:
        state: builds `/state` with these request groups by name, `*` in them standing for any text, beside the eight
            that it always shows so; None: all.
        unready: why the pod must get no requests, or None if it may.
        app_metrics: what the application counts itself; told beside ours.
        exemplars: requests that have a trace, for those who ask for OpenMetrics.
    """
    registry = _registry(StateCollector(lambda: state(None), exemplars), app_metrics)

    def livez(_: Scope) -> Response:
        return Response(200, _TEXT, b"alive\n")

    def readyz(_: Scope) -> Response:
        reason = unready()
        return Response(503, _TEXT, f"not ready: {reason}\n".encode()) if reason else Response(200, _TEXT, b"ready\n")

    def metrics(scope: Scope) -> Response:
        return _exposed(registry, dict(scope["headers"]).get(b"accept", b""))

    def whole_state(scope: Scope) -> Response:
        return Response(200, "application/json", orjson.dumps(state(_asked_groups(scope["query_string"]))))

    routes = {"/livez": livez, "/readyz": readyz, "/metrics": metrics, "/state": whole_state}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        route = routes.get(scope["path"])
        if scope["method"] not in ("GET", "HEAD"):
            response = Response(405, _TEXT, b"read-only: GET or HEAD\n")
        elif route is None:
            response = Response(404, _TEXT, f"there are {' '.join(routes)}\n".encode())
        else:
            response = route(scope)
        await _send(send, response)

    return app


def _exposed(registry: CollectorRegistry, accept: bytes) -> Response:
    """In Prometheus's text format, or in OpenMetrics for those who ask for it: that alone has exemplars."""
    if b"application/openmetrics-text" not in accept:
        return Response(200, CONTENT_TYPE_LATEST, generate_latest(registry))
    from prometheus_client.openmetrics import exposition

    body: bytes = exposition.generate_latest(registry)  # type: ignore[no-untyped-call]
    return Response(200, exposition.CONTENT_TYPE_LATEST, body)


def _asked_groups(query: bytes) -> list[str]:
    """`?route=GET%20/healthz&route=GET%20/reports/*&route=…`: what a policy names, to be shown whatever its rank."""
    return [value for name, value in parse_qsl(query.decode("latin-1")) if name == "route"]


def _registry(*collectors: Collector | None) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    for collector in filter(None, collectors):
        registry.register(collector)
    return registry


async def _send(send: Any, response: Response) -> None:
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    if response.status == 405:
        headers.append((b"allow", b"GET, HEAD"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


class ManagementServer(uvicorn.Server):
    """uvicorn without its signal handlers: the agent decides when it ends."""

    def __init__(self, app: ASGIApp, limits: HttpSettings) -> None:
        config = uvicorn.Config(
            app,
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._limits = limits
        self._told_to_stop = asyncio.Event()

    def stop(self) -> None:
        """Ends `serve`: at once where no request is being handled."""
        self.should_exit = True
        self._told_to_stop.set()

    async def main_loop(self) -> None:
        """uvicorn's, which ends at once when it is told to."""
        ticks = 0
        while not await self.on_tick(ticks):
            ticks += 1
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_stop.wait(), _TICK_SECONDS)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        crowd = crowd_of(self.server_state.connections, self._limits.max_connections)
        self._acceptor = Acceptor(sockets or [], self._protocol, share=Alone(), crowd=crowd)
        self._acceptor.start()
        self.servers = []
        self.started = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._acceptor.stop(last=False)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # those that were idle are closed by now
        if self.server_state.connections:
            await super().shutdown()

    def _protocol(self) -> LimitedProtocol:
        return LimitedProtocol(self.config, self.server_state, {}, self._limits)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def listen(host: str, port: int) -> socket.socket:
    """The listening socket of the management address.

    Raises:
        UsageError: nothing can listen there.
    """
    try:
        return socket.create_server((host, port), family=family_of(host, port))
    except OSError as error:
        # asyncio and socket put the address into the text; the number's own text is enough beside ours.
        reason = os.strerror(error.errno).lower() if error.errno and error.errno > 0 else error.strerror or str(error)
        raise UsageError(
            f"cannot listen on port {port} of {host}: {reason}; "
            "stop what uses it or choose another with --management-bind (PACELINE_MANAGEMENT_BIND)"
        ) from error
