"""One HTTP/1.1 connection that cannot hurt its neighbours: limits on the size of a head, on time, and on framing.

uvicorn parses and runs the application. What is refused here is refused once the responses before it are out, with a
short response and a close; nothing behind it is read as a request.
"""

from typing import Any, Final

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.server import ServerState

from paceline.serve.protocol.ending import EndingProtocol, Stage
from paceline.serve.protocol.head import (
    BODILESS,
    FRAMING,
    AfterHead,
    Field,
    framing_head,
    is_valid_host,
    path_of,
    read_framing,
    size_of,
    takes_websocket,
)
from paceline.serve.protocol.refusal import Refused, head_too_large, malformed
from paceline.serve.protocol.transport import ClosesGently
from paceline.settings import HttpSettings

_BETWEEN, _HEAD, _BODY = Stage  # an attribute of an enum class costs more than a name of the module
_PART_BYTES: Final = 16 * 1024  # parsed at once: so many pipelined requests wait as objects, the others as bytes


class LimitedProtocol(EndingProtocol):
    """One client connection."""

    __slots__ = (
        "_began",
        "_framing",
        "_framing_fields",
        "_head_bytes",
        "_held",
        "_part_bytes",
        "_quiet_bytes",
        "_to_websocket",
        "_upgrading",
        "_was_keep_alive",
    )

    def __init__(
        self, config: Config, server_state: ServerState, app_state: dict[str, Any], limits: HttpSettings
    ) -> None:
        super().__init__(config, server_state, app_state, limits)
        self._framing_fields: list[Field] = []
        self._framing = BODILESS
        self._upgrading = self._to_websocket = False  # the head asks for another protocol; it gets it
        self._began = False  # a head, in the part that is parsed now
        self._part_bytes = self._head_bytes = 0  # of that part; of a head without its first part
        self._quiet_bytes = 0  # since the last byte of a body
        self._held = b""  # read, not parsed yet
        self._was_keep_alive = False

    def connection_lost(self, exc: Exception | None) -> None:
        self._held = b""
        super().connection_lost(exc)

    # Bytes

    def data_received(self, data: bytes) -> None:
        self._keep_alive.due = 0.0
        if self._over:
            self.discard(len(data))
            return
        if len(data) <= _PART_BYTES and not self._held:
            self._parse(data)
        else:
            self._parse_parts(self._held + data)
        if self.stage is not _BETWEEN or not self._began:  # else a request is complete, and its response is due
            self.await_more()

    def on_response_complete(self) -> None:
        """What uvicorn does, but that the keep-alive timer is moved instead of made anew for each response."""
        self.server_state.total_requests += 1
        if self._over and self._last_word is None:
            return
        if not self.transport.is_closing():
            if self.flow.read_paused:
                self.flow.resume_reading()
            if self.pipeline:
                self.next_turn()
            else:
                self._keep_alive.set(self.timeout_keep_alive)
        if self._last_word is not None:
            self.say_last_word()
        if self._held and not self.pipeline:
            self._parse_parts(self._held)
            self.await_more()

    def _parse_parts(self, data: bytes) -> None:
        """Parses until a request has to wait for the one before it; holds the rest."""
        position = 0
        while position < len(data) and not self.pipeline and not self._over:
            self._parse(data[position : position + _PART_BYTES])
            position += _PART_BYTES
        self._held = b"" if self._over else data[position:]
        if self._held:
            self.flow.holds = True
            self.flow.pause_reading()
        elif self.flow.holds:
            self.flow.holds = False
            self.flow.resume_reading()
        if self._to_websocket:
            self._hand_over(data[position:])

    def _parse(self, data: bytes) -> None:
        self._began = False
        self._part_bytes = len(data)
        self._quiet_bytes += len(data)
        rest: bytes | None = data
        try:
            while rest is not None:
                rest = self._feed(rest)
            if self.stage is _HEAD and not self._began:
                self._head_bytes += len(data)
                self._bound(self._head_bytes)
            elif self.stage is _BODY and self._framing.chunked:
                self._bound(self._quiet_bytes)
        except Refused as refused:
            self.refuse(refused)

    def _feed(self, data: bytes) -> bytes | None:
        """Parses; what follows an upgrade that is not taken comes back, for a new parser.

        Raises:
            Refused: the bytes are no request that can be served.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._after_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            raise cause if isinstance(cause, Refused) else malformed("the request is malformed") from error
        except httptools.HttpParserError as error:
            raise malformed("the request is malformed") from error
        return None

    def _after_upgrade(self, rest: bytes) -> bytes | None:
        if self._to_websocket:
            self._over = True
            self._deadline.cancel()
            self.handle_websocket_upgrade()
            self._hand_over(rest)
            return None
        self._upgrading = False
        self.parser = httptools.HttpRequestParser(AfterHead(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return framing_head(self._framing_fields) + rest

    def _hand_over(self, rest: bytes) -> None:
        """Gives the WebSocket the bytes that came with its handshake."""
        if rest and not self.transport.is_closing():
            self.transport.get_protocol().data_received(rest)  # type: ignore[attr-defined] # uvicorn's

    # What the parser says

    def on_message_begin(self) -> None:
        self.stage = _HEAD
        self._began = True
        self._head_bytes = 0
        self.url = b""
        self.headers = []
        self._framing_fields = []

    def on_header(self, name: bytes, value: bytes) -> None:
        field = (name.lower(), value)
        self.headers.append(field)
        if field[0] in FRAMING:
            self._framing_fields.append(field)

    def on_headers_complete(self) -> None:
        version, method = self.parser.get_http_version(), self.parser.get_method().decode("ascii")
        self._check_head(method, version)
        self.make_scope(method, version)
        if not self._to_websocket:
            self.take_turn(keep_alive=version != "1.0" and self.parser.should_keep_alive())
        self.stage = _BODY
        self.headers = []  # trailers go here, where nobody sees them
        if self._framing.has_body:
            self._prepare_for_body(self.cycle)

    def on_body(self, body: bytes) -> None:
        self._quiet_bytes = 0
        if self.cycle.response_complete:
            return self.discard(len(body))
        if self._was_keep_alive:
            self._was_keep_alive, self.cycle.keep_alive = False, True
        return super().on_body(body)

    def on_message_complete(self) -> None:
        if self._upgrading:
            return  # no other protocol is spoken: the body is still to come
        self.stage = _BETWEEN
        self._deadline.due = 0.0
        if not self.cycle.response_complete:
            self.cycle.more_body = False
            self.cycle.message_event.set()

    def _check_head(self, method: str, version: str) -> None:
        fields = self._framing_fields
        if version not in ("1.1", "1.0"):
            raise malformed("this server speaks HTTP/1.1 and 1.0")
        if len(fields) == 1 and fields[0][0] == b"host" and is_valid_host(fields[0][1]):
            self._framing = BODILESS
        else:
            self._framing = read_framing(fields, version)
        self.expect_100_continue = self._framing.expects_continue
        if self.url[:1] != b"/" and method != "CONNECT":
            self.url = path_of(self.url, method, [value for name, value in fields if name == b"host"])
        if len(self.headers) > self._limits.max_head_fields:
            raise head_too_large(f"a request has at most {self._limits.max_head_fields} header fields")
        if self._head_bytes + self._part_bytes + _PART_BYTES > self._limits.max_head_bytes:
            self._bound(size_of(method, self.url, self.headers))
        self._upgrading = self.parser.should_upgrade()
        self._to_websocket = self._upgrading and self._takes_websocket(method, version)

    def _takes_websocket(self, method: str, version: str) -> bool:
        taken = takes_websocket(method, version, self.headers, self._framing) and self._should_upgrade_to_ws()
        if taken and self.busy:
            raise malformed("a WebSocket handshake cannot wait for the response to another request")
        return taken

    def _should_upgrade(self) -> bool:
        return self._to_websocket

    def _bound(self, size: int) -> None:
        if size > self._limits.max_head_bytes:
            raise head_too_large(
                f"head, trailers and chunk extensions have at most {self._limits.max_head_bytes} bytes"
            )

    def _prepare_for_body(self, cycle: RequestResponseCycle) -> None:
        cycle.transport = ClosesGently(self.transport, self.close_gently)  # type: ignore[assignment] # all it uses
        self.expect_body()
        self._quiet_bytes = 0
        # A client that waits for `100 Continue` may take another response as leave to send no body, and then the next
        # bytes could be either. So such a response is the last one, unless the body has begun.
        self._was_keep_alive = self._framing.expects_continue and cycle.keep_alive
        cycle.keep_alive = cycle.keep_alive and not self._was_keep_alive
