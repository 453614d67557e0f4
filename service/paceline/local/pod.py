"""Asks a pod on loopback, over plain HTTP: is it ready, and what does it run? A few requests a second, no more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from paceline.document.model import PROCESSES

_TIMEOUT_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.1


@dataclass(frozen=True, slots=True)
class Running:
    """What the pod says it runs; pool limits are per worker, but for those `per_pod`."""

    generation: int
    workers: int
    pools: Mapping[str, int]
    pending: tuple[str, ...] = ()
    per_pod: frozenset[str] = frozenset()


async def wait_until_ready(port: int) -> None:
    """Returns once /readyz on the management port says yes; waits for ever."""
    while (response := await _get(port, "/readyz")) is None or response[0] != 200:  # noqa: ASYNC110 - another process
        await asyncio.sleep(_POLL_SECONDS)


async def ask(port: int) -> Running | None:
    """What /state on the management port says; None if it does not respond."""
    response = await _get(port, "/state")
    if response is None or response[0] != 200:
        return None
    state: dict[str, Any] = orjson.loads(response[1])
    values, tuning = state["values"], state["tuning"]
    return Running(
        tuning["generation"],
        values["workers"],
        values["pools"],
        tuple(tuning["pending"]),
        frozenset(name for name, pool in state["pools"].items() if pool["kind"] == PROCESSES),
    )


async def _get(port: int, path: str) -> tuple[int, bytes] | None:
    try:
        async with asyncio.timeout(_TIMEOUT_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                return int(head.split(b" ", 2)[1]), await reader.read()
            finally:
                writer.close()
    except (OSError, EOFError, ValueError):
        return None
