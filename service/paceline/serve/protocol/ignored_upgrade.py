"""Reads on behind a request whose upgrade is not taken.

The parser takes all that follows such a head for another protocol and drops the body's framing. So a new parser gets a
head with the same framing and no upgrade, which tells nobody, and goes on with the bytes that the first one left.
"""

from typing import Protocol


class Listener(Protocol):
    """What a parser calls."""

    def on_message_begin(self) -> None: ...
    def on_url(self, url: bytes) -> None: ...
    def on_header(self, name: bytes, value: bytes) -> None: ...
    def on_headers_complete(self) -> None: ...
    def on_body(self, body: bytes) -> None: ...
    def on_message_complete(self) -> None: ...


class AfterHead:
    """Passes on all that a parser says, but for the first head."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._repeated = True  # the head has been told before
        self.on_body = listener.on_body
        self.on_message_complete = listener.on_message_complete

    def on_message_begin(self) -> None:
        if not self._repeated:
            self._listener.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self._repeated:
            self._listener.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._repeated:
            self._listener.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._repeated:
            self._repeated = False
        else:
            self._listener.on_headers_complete()
