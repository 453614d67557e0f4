"""One answer in a cache, how it is judged when it is read, and its form in Redis. Pure: no clock, no I/O."""

import struct
from dataclasses import dataclass
from enum import Enum, auto
from math import log
from typing import Any, Final, Protocol

_HEADER: Final = struct.Struct(">Bdd")
_VERSION: Final = 1


class Serializer(Protocol):
    """How an answer becomes bytes for Redis, and back."""

    def dumps(self, value: Any, /) -> bytes: ...

    def loads(self, content: bytes, /) -> Any: ...


class NotCached(Exception):
    """Raised by a fetch: there is an answer, but not one to keep, and what was kept before does not count any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer and its own age: a new TTL counts for it at once, nothing has to be rewritten."""

    value: Any
    created_at: float
    """Seconds since the epoch when the fetch began: what it returned is as old as that."""
    fetch_seconds: float
    """How long the fetch took."""

    def age(self, now: float) -> float:
        """Seconds; never negative, though another machine's clock may be ahead."""
        return max(0.0, now - self.created_at)


class Verdict(Enum):
    """What may be done with an entry."""

    FRESH = auto()
    """Answer with it."""
    DUE = auto()
    """Answer with it, and fetch a new one meanwhile."""
    STALE = auto()
    """As DUE, but it is older than the TTL."""
    EXPIRED = auto()
    """Too old to answer with."""


def judge(entry: Entry, now: float, ttl_seconds: float, max_staleness_seconds: float, draw: float) -> Verdict:
    """Judges an entry by the TTL of this moment.

    DUE is "XFetch" (Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", VLDB 2015):
    a fresh entry is fetched anew once `age − fetch_seconds · ln(draw) ≥ ttl`, so that of many processes one goes early.
    Worked example: TTL 60 s, a fetch of 0.2 s; draw 0.05 gives 0.2 · 3.0 = 0.6 s: due from 59.4 s on.

    Args:
        draw: uniform in (0, 1].
    """
    age = entry.age(now)
    if age < ttl_seconds:
        early = age - entry.fetch_seconds * log(draw) >= ttl_seconds
        return Verdict.DUE if early else Verdict.FRESH
    if ttl_seconds > 0 and age < ttl_seconds + max_staleness_seconds:
        return Verdict.STALE
    return Verdict.EXPIRED


def pack(entry: Entry, serializer: Serializer) -> bytes:
    """The entry's form in Redis: version, created_at, fetch_seconds, the serialized answer."""
    return _HEADER.pack(_VERSION, entry.created_at, entry.fetch_seconds) + serializer.dumps(entry.value)


def unpack(content: bytes | str, serializer: Serializer) -> Entry | None:
    """The reverse of `pack`; None for what another version wrote.

    Raises:
        TypeError: it is text, because the client has `decode_responses`.
    """
    if isinstance(content, str):
        raise TypeError("the cache needs a Redis client without decode_responses=True")
    if content[:1] != bytes([_VERSION]):
        return None
    _, created_at, fetch_seconds = _HEADER.unpack_from(content)
    return Entry(serializer.loads(content[_HEADER.size :]), created_at, fetch_seconds)
