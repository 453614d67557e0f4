"""What a worker and the pool's process say to each other: one connection a call, handed over as `handover.py` says.

pool    "taken"
worker  {"pool", "limit", "cap", "queue"}    the packed call    (closes early: the call is cancelled)
pool    "started"                            then "result" and the packed result
        or at any time "full" and a Refusal, or "died" and a sentence
"""

from dataclasses import asdict, dataclass
from typing import Self

import orjson

TAKEN = b"taken"
STARTED = b"started"
RESULT = b"result"
FULL = b"full"
DIED = b"died"


@dataclass(frozen=True, slots=True)
class PoolSpec:
    """A pool as the code made it."""

    pool: str
    limit: int
    cap: int
    queue: int

    def to_bytes(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        return cls(**orjson.loads(content))


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a call was not taken, and when to come back."""

    message: str
    retry_after_seconds: float

    def to_bytes(self) -> bytes:
        return orjson.dumps(asdict(self))

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        return cls(**orjson.loads(content))
