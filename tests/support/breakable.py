"""Servers that a test kills, freezes and starts again on the same port, with what they kept."""

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import Self

import psutil


class Breakable:
    """A context manager around a server that `start` runs; `listening` tells its process by the port it listens on."""

    def __init__(self, start: Callable[[], AbstractContextManager[str]], port: int) -> None:
        self._start = start
        self._port = port
        self._running: AbstractContextManager[str] | None = None
        self.address = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self.thaw()
            self._running.__exit__(kind, error, trace)

    def start(self) -> None:
        """Runs it; at once usable."""
        self._running = self._start()
        self.address = self._running.__enter__()

    def kill(self) -> None:
        """As a machine that loses power: no goodbye on any connection."""
        assert self._running is not None
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._running.__exit__(None, None, None)
        self._running = None

    def freeze(self) -> None:
        """It takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._processes():
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _processes(self) -> list[psutil.Process]:
        """The server and its children, which serve its connections."""
        server = next(process for process in psutil.process_iter() if self._listens(process))
        return [server, *server.children(recursive=True)]

    def _listens(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return any(
                socket.status == psutil.CONN_LISTEN and socket.laddr.port == self._port
                for socket in process.net_connections("tcp4")
            )
        return False
