"""A worker's way to the pod's process pool. A closed connection cancels its call: a dead worker's calls end with it."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from paceline.errors import PoolError, PoolFull, ProcessDied
from paceline.resources.processes.frames import frame, read_frame
from paceline.resources.registry import ProcessPoolSettings
from paceline.serve.processes import handover, wire
from paceline.serve.rundir import RunDir

_START_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.05


class PodPool:
    """The executor of a pool under `paceline serve`. The limit reaches the pool's process by `effective.json`."""

    def __init__(self, run: RunDir, calls: socket.socket, pool: ProcessPoolSettings) -> None:
        """`calls`: the workers' end of `handover.make`."""
        self._run = run
        self._calls = calls
        self._spec = wire.PoolSpec(pool.name, pool.start_limit, pool.cap, pool.queue)

    async def run(self, call: bytes, started: Callable[[], None]) -> bytes:
        """See `ProcessPool.run`.

        Raises:
            PoolError: the pool's process cannot be reached.
        """
        reader, writer = await self._connect()
        try:
            writer.write(frame(self._spec.to_bytes()) + frame(call))
            while True:
                kind = await read_frame(reader)
                if kind == wire.STARTED:
                    started()
                    continue
                content = await read_frame(reader)
                if content is None:
                    raise ProcessDied(f"pool {self._spec.pool!r}: the pod's process pool ended; its calls are lost")
                if kind == wire.RESULT:
                    return content
                raise _error(kind, content)
        finally:
            writer.transport.abort()

    def set_limit(self, limit: int) -> None:
        """Nothing to do: the pool's process reads the same file as this worker."""

    async def aclose(self) -> None:
        """Nothing to do: other workers may use it."""

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection that the pool's process has taken. The agent starts that process once it is wanted."""
        self._run.processes_wanted.touch()
        try:
            async with asyncio.timeout(_START_SECONDS):
                reader, writer = await asyncio.open_connection(sock=await self._handed_over())
                try:
                    if await read_frame(reader) == wire.TAKEN:
                        return reader, writer
                except asyncio.CancelledError:
                    writer.transport.abort()
                    raise
        except TimeoutError as error:
            raise PoolError(
                f"pool {self._spec.pool!r}: the pod's process pool did not start within {_START_SECONDS:g} s;"
                " the agent's log says why"
            ) from error
        except OSError as error:
            raise PoolError(f"pool {self._spec.pool!r}: no connection to the pod's process pool: {error}") from error
        writer.transport.abort()
        raise ProcessDied(f"pool {self._spec.pool!r}: the pod's process pool ended before it began the call")

    async def _handed_over(self) -> socket.socket:
        while True:
            try:
                return handover.hand_over(self._calls)
            except BlockingIOError:
                await asyncio.sleep(_LOOK_SECONDS)


def _error(kind: bytes | None, content: bytes) -> PoolError:
    if kind == wire.FULL:
        refusal = wire.Refusal.from_bytes(content)
        return PoolFull(refusal.message, refusal.retry_after_seconds)
    return ProcessDied(content.decode())
