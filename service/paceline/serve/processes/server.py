"""The pool's process: takes calls from workers, gives each to a child, follows the limits in `effective.json`.

It is small (no pydantic, no application: children import what they run) and ends when no worker is left.
"""

import asyncio
import fcntl
import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import orjson

from paceline.errors import PoolFull, ProcessDied
from paceline.resources.processes.frames import frame, read_frame
from paceline.resources.processes.pool import ProcessPool
from paceline.serve.processes import handover, wire
from paceline.serve.rundir import RunDir, stamp

_POLL_SECONDS: Final = 0.1


class Server:
    """All pools of a pod; one of them is made when its first call comes."""

    def __init__(self, run: RunDir, calls: socket.socket) -> None:
        """`calls`: the pool's end of `handover.make`."""
        self._run = run
        self._calls = calls
        self._tasks: set[asyncio.Task[None]] = set()
        self._pools: dict[wire.PoolSpec, ProcessPool] = {}
        self._limits: dict[str, int] = {}
        self._seen: tuple[int, int, int] | None = None

    async def serve(self) -> None:
        """Until SIGTERM came, or its agent was killed, and no worker lives any more."""
        lock = os.open(self._run.processes_lock, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(lock, fcntl.LOCK_EX)
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        loop.add_reader(self._calls, self._take)
        while not stop.is_set() or _workers_left(self._run):
            self._follow()
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait() if not stop.is_set() else asyncio.sleep(1), _POLL_SECONDS)
        loop.remove_reader(self._calls)
        for pool in self._pools.values():
            await pool.aclose()
        os.close(lock)

    def _follow(self) -> None:
        fresh = stamp(self._run.effective)
        if fresh is None or fresh == self._seen:
            return
        with suppress(OSError, ValueError, KeyError, TypeError):  # workers say what is wrong with the file
            self._limits = dict(orjson.loads(self._run.effective.read_bytes())["values"]["pools"])
            self._seen = fresh
        for spec, pool in self._pools.items():
            pool.set_limit(self._limit(spec))

    def _limit(self, spec: wire.PoolSpec) -> int:
        return max(1, min(self._limits.get(spec.pool, spec.limit), spec.cap))

    def _pool(self, spec: wire.PoolSpec) -> ProcessPool:
        if spec not in self._pools:
            self._pools[spec] = ProcessPool(spec.pool, self._limit(spec), spec.queue)
        return self._pools[spec]

    def _take(self) -> None:
        """A worker has handed a connection over."""
        try:
            connection = handover.take(self._calls)
        except BlockingIOError:
            return
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._calls)
            return
        if connection is not None:
            task = asyncio.create_task(self._respond(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _respond(self, connection: socket.socket) -> None:
        """One connection: one call, cancelled when the worker hangs up."""
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            writer.write(frame(wire.TAKEN))
            spec, call = await read_frame(reader), await read_frame(reader)
            if spec is None or call is None:
                return
            pool = self._pool(wire.PoolSpec.from_bytes(spec))
            work = asyncio.create_task(_run(pool, call, writer))
            hung_up = asyncio.create_task(reader.read(1))
            await asyncio.wait({work, hung_up}, return_when=asyncio.FIRST_COMPLETED)
            for task in (work, hung_up):
                task.cancel()
            await asyncio.wait({work, hung_up})
        finally:
            writer.close()


async def _run(pool: ProcessPool, call: bytes, writer: asyncio.StreamWriter) -> None:
    try:
        result = await pool.run(call, lambda: writer.write(frame(wire.STARTED)))
        reply = frame(wire.RESULT) + frame(result)
    except PoolFull as error:
        refusal = wire.Refusal(str(error), error.retry_after_seconds)
        reply = frame(wire.FULL) + frame(refusal.to_bytes())
    except ProcessDied as error:
        reply = frame(wire.DIED) + frame(str(error).encode())
    writer.write(reply)
    with suppress(ConnectionError):
        await writer.drain()


def _workers_left(run: RunDir) -> bool:
    return any(_lives(report.stem) for report in run.reports.glob("*.json"))


def _lives(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in (b"Z", b"X")
    except OSError:
        return False
