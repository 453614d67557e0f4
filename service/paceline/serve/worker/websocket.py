"""WebSocket connections of a worker. What a client sends before its handshake is accepted waits until then."""

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class TunedWebSocket(WebSocketsSansIOProtocol):
    """One WebSocket.

    uvicorn's would parse frames at once, and ends in an AssertionError where they are malformed while no close frame
    can be sent yet. At most one packet waits here, the others in the kernel; after a refusal they are dropped.
    """

    _early = b""

    def data_received(self, data: bytes) -> None:
        """Called with what the client sent, the handshake first."""
        if self.handshake_initiated and not self.handshake_complete:
            self._early += data
            self.transport.pause_reading()
        else:
            super().data_received(data)

    async def send(self, message: Any) -> None:
        """Called by the application."""
        await super().send(message)
        if self._early and self.handshake_complete:
            early, self._early = self._early, b""
            if not self.transport.is_closing():
                self.transport.resume_reading()
                super().data_received(early)
