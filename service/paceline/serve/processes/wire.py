"""What a worker and the pool's process say to each other over `processes.sock`: one connection a call.

worker  {"pool", "limit", "cap", "queue"}    the packed call    (closes early: the call is cancelled)
pool    "started"                            then "answer" and the packed answer
        or at any time "full" and a Refusal, or "died" and a sentence
"""

import asyncio
import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import orjson

STARTED = b"started"
ANSWER = b"answer"
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


def listen(path: Path) -> socket.socket:
    """A listening socket that only this user reaches; what a former life left there goes."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    former = os.umask(0o177)
    try:
        with _Short(path) as address:
            listening.bind(address)
    finally:
        os.umask(former)
    listening.listen(128)
    return listening


async def connect(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to `listen`'s.

    Raises:
        FileNotFoundError, ConnectionRefusedError: nobody listens.
    """
    with _Short(path) as address:
        return await asyncio.open_unix_connection(address)


class _Short:
    """A socket's path has at most 107 bytes, a run folder's may have more: this one leads there, however long."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> str:
        self._folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        return f"/proc/self/fd/{self._folder}/{self._path.name}"

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)
