"""The requests of one connection, each in its turn: a head that was read becomes a request, which starts or waits.

As uvicorn does it, which asks the parser again for all that has been checked before, and fills a scope bit by bit.
"""

import asyncio
from typing import Any, Final
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

_SPEC_VERSION: Final = "2.3"


class TurnsProtocol(HttpToolsProtocol):
    """uvicorn's protocol, from the end of a head to the start of the application."""

    # Slots: beyond thirty attributes in its dict an instance loses CPython's fast access to all of them.
    __slots__ = ("_active",)

    request_class: type[RequestResponseCycle] = RequestResponseCycle
    """What runs the application for one request, and sends the response."""

    def __init__(self, config: Config, server_state: ServerState, app_state: dict[str, Any]) -> None:
        super().__init__(config, server_state, app_state)
        self.access_log = config.access_log  # uvicorn looks for any handler, and finds those of other loggers too
        self._active: RequestResponseCycle | None = None

    @property
    def busy(self) -> bool:
        """Whether a request waits for its response."""
        return bool(self.pipeline) or (self._active is not None and not self._active.response_complete)

    def make_scope(self, method: str, version: str) -> None:
        """The scope of the request whose head has been read."""
        url = httptools.parse_url(self.url)
        path = url.path.decode("ascii")
        self.scope = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": _SPEC_VERSION},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,  # type: ignore[typeddict-item] # as uvicorn's
            "method": method,
            "root_path": self.root_path,
            "path": self.root_path + (unquote(path) if "%" in path else path),
            "raw_path": self.root_path.encode("ascii") + url.path,
            "query_string": url.query or b"",
            "headers": self.headers,
            "state": self.app_state.copy(),
        }

    def take_turn(self, *, keep_alive: bool) -> None:
        """Starts the request, or has it wait for the one before it."""
        before = self.cycle
        self.cycle = self.request_class(
            scope=self.scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )
        if before is None or before.response_complete:
            self._active = self.cycle
            self._start_asgi_task(self.cycle, self.app)
        else:
            self.flow.pause_reading()
            self.pipeline.appendleft((self.cycle, self.app))

    def next_turn(self) -> None:
        """Starts the request that has waited longest."""
        self._active, app = self.pipeline.pop()
        self._start_asgi_task(self._active, app)
