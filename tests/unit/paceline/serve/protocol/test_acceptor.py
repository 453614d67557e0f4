"""Errors of accept neither spin nor leave the process deaf. Real sockets; the errors are the test's."""

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator

import pytest
from paceline.serve.protocol.acceptor import Acceptor, Alone
from paceline.serve.protocol.crowd import Crowd

pytestmark = pytest.mark.invariant


class Failing(socket.socket):
    """A listening socket whose accepts fail so many times."""

    failures = 0
    number = errno.EMFILE
    tried = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.tried += 1
        if self.failures > 0:
            self.failures -= 1
            raise OSError(self.number, os.strerror(self.number))
        return super().accept()


class Greeting(asyncio.Protocol):
    """Says something to whoever is accepted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")
        transport.close()


@pytest.fixture
async def listener() -> AsyncIterator[Failing]:
    with Failing() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        acceptor = Acceptor([listener], Greeting, share=Alone(), crowd=Crowd([], 100))
        acceptor.start()
        yield listener
        await acceptor.stop(last=False)


async def greeted(listener: Failing) -> bytes:
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    try:
        return await asyncio.wait_for(reader.read(), 20)
    finally:
        writer.close()


@pytest.mark.parametrize(
    "number",
    [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EPROTO, errno.ENETDOWN, errno.EPERM, errno.EINVAL],
    ids=errno.errorcode.get,
)
async def test_the_next_connection_is_served(listener: Failing, number: int, caplog: pytest.LogCaptureFixture) -> None:
    listener.number, listener.failures = number, 3
    assert await greeted(listener) == b"hello"
    assert [record.message for record in caplog.records] == [
        f"cannot accept connections: {os.strerror(number)}; trying again every 0.1 s"
    ]


async def test_an_error_that_stays_does_not_spin(listener: Failing) -> None:
    listener.failures = 10**9
    waiting = asyncio.create_task(greeted(listener))
    await asyncio.sleep(0.5)
    assert 1 < listener.tried < 20
    listener.failures = 0
    assert await waiting == b"hello"
