"""One value in a cache, how it is judged when it is read, and its form in Redis. Pure: no clock, no I/O."""

import struct
from dataclasses import dataclass, field
from enum import Enum, auto
from math import log
from typing import Any, Final, Protocol

_HEADER: Final = struct.Struct(">B32sdd")
_FORMAT: Final = 2
SURELY: Final = 37.0
"""Times the fetch: by so much no draw makes a fresh entry due early, since a draw is 2^-53 at least."""
_AHEAD_SECONDS: Final = 10.0
"""By so much clocks of machines may differ."""


class Serializer(Protocol):
    """How a value becomes bytes for Redis, and back. What comes back must be of the same types, or it is not stored."""

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, content: bytes, /) -> Any: ...


class NotCached(Exception):
    """Raised by a fetch: there is a value, but not one to cache, and what was cached before does not count any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and its own age: a new TTL counts for it at once, nothing has to be rewritten."""

    value: Any
    created_at: float
    """Seconds since the epoch when the fetch began: what it returned is as old as that."""
    fetch_seconds: float
    """How long the fetch took."""
    cached_at: float = field(default=0.0, compare=False)
    """On this process's monotonic clock, when its memory took the entry."""

    def age(self, now: float) -> float:
        """Seconds; never negative, though another machine's clock may be a little ahead."""
        return max(0.0, now - self.created_at)


class Verdict(Enum):
    """What may be done with an entry."""

    FRESH = auto()
    """Return it."""
    DUE = auto()
    """Return it, and fetch a new one meanwhile."""
    STALE = auto()
    """As DUE, but it is older than the TTL."""
    EXPIRED = auto()
    """Too old to be returned."""


def judge(entry: Entry, now: float, ttl_seconds: float, max_staleness_seconds: float, draw: float) -> Verdict:
    """Judges an entry by the TTL of this moment.

    DUE is "XFetch" (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015):
    a fresh entry is fetched anew once `age − fetch_seconds · ln(draw) ≥ ttl`, so that of many processes one goes early.
    Worked example: TTL 60 s, a fetch of 0.2 s; draw 0.05 gives 0.2 · 3.0 = 0.6 s: due from 59.4 s on.

    Args:
        draw: uniform in (0, 1].
    """
    if not entry.created_at <= now + _AHEAD_SECONDS:
        return Verdict.EXPIRED  # its machine's clock is wrong: nobody knows how old it is
    age = entry.age(now)
    if age < ttl_seconds:
        early = age - entry.fetch_seconds * log(draw) >= ttl_seconds
        return Verdict.DUE if early else Verdict.FRESH
    if ttl_seconds > 0 and age < ttl_seconds + max_staleness_seconds:
        return Verdict.STALE
    return Verdict.EXPIRED


def pack(entry: Entry, version: bytes, serializer: Serializer) -> bytes:
    """The entry's form in Redis: format, version of its key, created_at, fetch_seconds, the serialized value."""
    return _HEADER.pack(_FORMAT, version, entry.created_at, entry.fetch_seconds) + serializer.dumps(entry.value)


def unpack(content: bytes, version: bytes, serializer: Serializer) -> Entry | None:
    """The reverse of `pack`; None for another format, and for an entry from before its key was forgotten.

    Raises:
        Exception: what the serializer raises for content that it does not understand.
    """
    if content[:1] != bytes([_FORMAT]) or len(content) < _HEADER.size:
        return None
    _, written, created_at, fetch_seconds = _HEADER.unpack_from(content)
    return Entry(serializer.loads(content[_HEADER.size :]), created_at, fetch_seconds) if written == version else None
