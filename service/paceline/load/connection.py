"""One keep-alive connection that carries one request at a time. Knows no rate and no statistics."""

import asyncio
from typing import Final, Protocol, cast

import httptools

CLOSED: Final = "connection closed without a response"
UNREADABLE: Final = "response is not HTTP"


class Owner(Protocol):
    """Who is told what became of a request. `due` is the intended start, on the owner's clock."""

    def responded(self, connection: "Connection", due: float, status: int) -> None:
        """The response has been read to its end."""

    def failed(self, connection: "Connection", due: float, kind: str) -> None:
        """The request got no response; its connection is of no more use."""

    def lost(self, connection: "Connection") -> None:
        """The connection has gone, with no request on it."""


class Connection(asyncio.Protocol):
    """Sends, parses the response, reports to its owner. A response must state its length or be chunked."""

    __slots__ = ("_owner", "_parser", "_transport", "due", "expires", "idle_since")

    def __init__(self, owner: Owner, expires: float) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.expires = expires
        """When to replace this connection, on the owner's clock."""
        self.idle_since = 0.0
        self.due: float | None = None
        """Intended start of the request that is under way."""

    @property
    def closing(self) -> bool:
        """Closed, or about to be, as far as is known."""
        return self._transport is None or self._transport.is_closing()

    def worn(self, now: float, idle_seconds: float) -> bool:
        """Not to be used for another request: closing, too old, or idle for too long."""
        return self.closing or now >= self.expires or now >= self.idle_since + idle_seconds

    def send(self, request: bytes, due: float) -> None:
        assert self._transport is not None, "send() before the connection was made"
        self.due = due
        self._transport.write(request)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def give_up(self, kind: str) -> None:
        """Ends the request under way as a failure of this kind and drops the connection."""
        due, self.due = self.due, None
        if self._transport is not None:
            self._transport.abort()
        if due is not None:
            self._owner.failed(self, due, kind)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.give_up(UNREADABLE)

    def on_message_complete(self) -> None:
        """Called by the parser at the end of a response."""
        if self.due is None:
            self.close()
            return
        due, self.due = self.due, None
        if not self._parser.should_keep_alive():
            self.close()
        self._owner.responded(self, due, self._parser.get_status_code())

    def connection_lost(self, error: Exception | None) -> None:
        if self.due is None:
            self._owner.lost(self)
        else:
            self.give_up(CLOSED)
