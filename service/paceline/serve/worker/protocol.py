"""HTTP/1.1 connections of a worker, which never close on top of a request when the worker drains."""

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from paceline.serve.protocol.connection import LimitedProtocol
from paceline.serve.protocol.ending import Stage
from paceline.serve.worker.response import Response


class TunedProtocol(LimitedProtocol):
    """One client connection."""

    __slots__ = ()

    request_class = Response

    @property
    def running(self) -> RequestResponseCycle | None:
        """The request that the application works on; those pipelined behind it wait."""
        return None if self._active is None or self._active.response_complete else self._active

    @property
    def arriving(self) -> bool:
        """The newest request is incomplete, and nobody works on it: the application waits for the rest, or responded
        without it."""
        if self.stage is Stage.BODY and self.cycle.response_complete:
            return not self.busy and not self.bytes_waiting()
        if self.stage is Stage.BODY:
            waits = self.cycle is self.running and bool(self.cycle.message_event._waiters)
            return waits and not self.cycle.response_started and not self.bytes_waiting()
        return self.stage is Stage.HEAD and not self.busy and not self.bytes_waiting()

    def announce_close(self) -> None:
        """Makes the response that is being prepared the last one of this connection, and tells the client so.

        A response whose headers are out already cannot say so any more: then it is the next response.
        """
        if self.cycle is not None and not self.cycle.response_started:
            # The newest request: those pipelined before it are responded to first.
            self.cycle.keep_alive = self._was_keep_alive = False

    def unused_seconds(self) -> float:
        """Since the connection came, as long as its client has sent nothing; else 0."""
        if self._active is None and self.stage is Stage.BETWEEN and self._deadline.is_set:
            return self.loop.time() - self._deadline.due + self._limits.head_timeout_seconds
        return 0.0

    def close_if_idle(self) -> None:
        """Closes unless a request is being processed, has arrived in part, or lies unread in the kernel."""
        if self.stage is not Stage.HEAD and not self.busy and not self.bytes_waiting():
            self.transport.close()
