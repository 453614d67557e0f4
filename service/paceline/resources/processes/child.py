"""One child process that runs calls one after another. A fork server starts it: it inherits no loop and no socket."""

import asyncio
import os
import signal
import socket
from multiprocessing import get_context
from multiprocessing.context import ForkServerProcess
from typing import Final

from paceline import lifeline
from paceline.errors import ProcessDied
from paceline.resources.processes.call import perform
from paceline.resources.processes.frames import frame, read_frame, receive_frame

_END_SECONDS: Final = 5.0


class Child:
    """This side's handle on it. Starts with its first call; a call that is killed takes the process with it."""

    def __init__(self) -> None:
        self._process: ForkServerProcess | None = None
        self._killed = False

    @property
    def usable(self) -> bool:
        """Whether it can take a call: it started, did not die, and nobody killed it."""
        return not self._killed and self._process is not None and not self._reader.at_eof()

    async def call(self, call: bytes) -> bytes:
        """The result of a packed call.

        Raises:
            ProcessDied: the process ended before it returned, or could not start.
        """
        if self._process is None:
            await self._start()
        self._writer.write(frame(call))
        reply = await read_frame(self._reader)
        if reply is None:
            raise ProcessDied(f"the process that ran the call {await self._fate()}; this call alone is lost")
        return reply

    def kill(self) -> None:
        """Ends it at once, with what it runs; in any state."""
        self._killed = True
        if self._process is not None:
            self._process.kill()

    async def end(self) -> None:
        """Returns once the process is gone: it ends by itself when nobody can call it any more."""
        if self._process is not None:
            self._writer.transport.abort()
            await self._fate()

    async def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            process = get_context("forkserver").Process(target=_serve, args=(theirs,), daemon=True)
            try:
                await asyncio.to_thread(process.start)
            except (OSError, EOFError) as error:
                ours.close()
                raise ProcessDied(f"no process could be started for the call: {error!r}") from error
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        self._process = process
        if self._killed:  # while it started
            process.kill()

    async def _fate(self) -> str:
        """How it ended, as the end of a sentence; it is ending when this is asked."""
        assert self._process is not None
        await asyncio.to_thread(self._process.join, _END_SECONDS)
        if self._process.exitcode is None:
            self._process.kill()
            await asyncio.to_thread(self._process.join)
        code = self._process.exitcode
        if code is not None and code < 0:
            return f"was killed by {signal.Signals(-code).name}"
        return f"ended with status {code}"


def _serve(link: socket.socket) -> None:
    """The whole life of the child."""
    lifeline.die_with_parent(os.getppid(), signal.SIGKILL)  # the fork server; that one ends with who started it
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who gave the call
    with link:
        while (call := receive_frame(link)) is not None:
            try:
                link.sendall(frame(perform(call)))
            except BrokenPipeError:
                return
