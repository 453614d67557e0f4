"""Which unfinished requests a draining worker still waits for. Pure decisions; `drain` gathers and applies.

A request that can finish gets the whole graceful timeout. Three kinds cannot, and get the drain grace only:

1. A request that stopped arriving: its head or body is incomplete, its client sends nothing, and its handler (if one
   runs already) waits for the rest.
2. A response that has no end: a GET whose response has begun with an endless media type (`text/event-stream`). Its
   client comes back by itself, as EventSource does. A POST with the same media type is a response to that one request,
   such as the words of a language model, and may finish.
   A response without a length that has lasted ten graceful timeouts already will not end in one more.
3. A handler without a client: of a WebSocket that is closed, or of a GET, HEAD or OPTIONS whose client has gone. Other
   methods may change something, so their handlers may finish although nobody hears of it.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_GRACEFUL_TIMEOUTS: Final = 10


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a draining worker waits, and what it holds to be endless."""

    idle_seconds: float
    """At most, for the next request of a connection that was busy until just now."""
    busy_seconds: float
    """For requests in progress: the graceful timeout."""
    grace_seconds: float
    """For what cannot finish, and until an idle connection counts as silent."""
    endless_types: Collection[str] = ()
    """Lower case, without parameters."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An HTTP request at one moment of the drain."""

    method: str
    arriving: bool
    """Incomplete, and nobody works on it until the rest has come."""
    media_type: str | None
    """Of the response, if it has begun: lower case, without parameters, "" for none."""
    sized: bool
    """The response says how long it is."""
    silent_seconds: float
    """Since the client last sent something; 0 where that is not known."""


class Verdict(Enum):
    """What becomes of a request."""

    WAIT = auto()
    STALLED = auto()
    ENDLESS = auto()


def judge(request: Unfinished, patience: Patience, waited_seconds: float) -> Verdict:
    """Whether to wait on; `waited_seconds` is the time since the drain began."""
    if request.arriving:
        return Verdict.STALLED if request.silent_seconds >= patience.grace_seconds else Verdict.WAIT
    if waited_seconds >= patience.grace_seconds and _is_endless(request, patience):
        return Verdict.ENDLESS
    return Verdict.WAIT


def _is_endless(request: Unfinished, patience: Patience) -> bool:
    if request.media_type is None or request.method not in SAFE_METHODS:
        return False
    lasts = request.silent_seconds >= _GRACEFUL_TIMEOUTS * patience.busy_seconds
    return request.media_type in patience.endless_types or (lasts and not request.sized)


def media_type(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The media type that response headers name: lower case, without parameters; "" if they name none."""
    for name, value in headers:
        if name.lower() == b"content-type":
            return value.partition(b";")[0].strip().lower().decode("latin-1")
    return ""
