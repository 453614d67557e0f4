"""A call of another service as a step of the request that makes it; hands the trace on."""

from collections.abc import Callable
from time import perf_counter

from paceline.telemetry.time_spent import Kind, TimeSpent, current, new_span_id


class OutgoingCall:
    """Under way. `end` may come from another task, as it does where a connection notices that a body is over."""

    __slots__ = ("_attributes", "_pool", "_spent", "_started", "span_id")

    def __init__(self, spent: TimeSpent, pool: str, method: str, address: str, port: int | None) -> None:
        self.span_id = new_span_id()
        self._spent = spent
        self._pool = pool
        self._attributes: dict[str, str | int] = {"http.request.method": method, "server.address": address}
        if port is not None:
            self._attributes["server.port"] = port
        self._started = perf_counter()

    def hand_on(self, add: Callable[[str], object]) -> None:
        """Gives `add` the field `traceparent`, if the request is part of a trace."""
        if self._spent.traceparent is not None:
            add(self._spent.traceparent.format(f"{self.span_id:016x}"))

    def end(self, status: int | None = None, error: BaseException | None = None) -> None:
        """Notes the step; a status of 400 and more is an error of a client's span, by the HTTP conventions."""
        if status is not None:
            self._attributes["http.response.status_code"] = status
        if error is not None or (status is not None and status >= 400):
            self._attributes["error.type"] = str(status) if error is None else type(error).__qualname__
        self._spent.note(Kind.CALL, self._pool, self._started, perf_counter(), self.span_id, self._attributes)


def begin_call(pool: str, method: str, address: str, port: int | None) -> OutgoingCall | None:
    """None outside of a request, and where nothing is traced."""
    spent = current.get()
    return None if spent is None else OutgoingCall(spent, pool, method, address, port)
