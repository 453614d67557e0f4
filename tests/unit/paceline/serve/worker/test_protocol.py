"""Connections do not close on top of a request. Real sockets; the moment of the close is the test's to choose."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from paceline.serve.protocol.ending import Stage
from paceline.serve.worker.drain import announce, close_idle
from paceline.serve.worker.protocol import TunedProtocol
from paceline.settings import HttpSettings
from serving import eventually_async
from uvicorn.config import Config
from uvicorn.server import ServerState

REQUEST = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n"


async def ignore(scope: Any, receive: Any, send: Any) -> None:
    """An application that no request reaches."""


@dataclass
class Connected:
    """Both ends of one connection."""

    state: ServerState
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    may_answer: asyncio.Event

    @property
    def protocol(self) -> TunedProtocol:
        (connection,) = self.state.connections
        assert isinstance(connection, TunedProtocol)
        return connection

    async def answer(self) -> bytes:
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 30)
        return head + await self.reader.readexactly(2)

    async def is_open(self) -> bool:
        """Whether it still answers a request."""
        try:
            self.writer.write(REQUEST)
            return (await self.answer()).endswith(b"ok")
        except (OSError, asyncio.IncompleteReadError):
            return False


@pytest.fixture
async def connected() -> AsyncIterator[Connected]:
    may_answer = asyncio.Event()
    may_answer.set()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    config = Config(application, http=TunedProtocol, interface="asgi3", log_config=None, access_log=False)
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: TunedProtocol(config, state, {}, HttpSettings()), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    await eventually_async(lambda: len(state.connections) == 1, "the connection is made")
    yield Connected(state, reader, writer, may_answer)
    writer.close()
    server.close()
    await eventually_async(lambda: not state.connections, "the connection is gone")


async def test_an_idle_connection_is_closed(connected: Connected) -> None:
    assert await connected.is_open()
    close_idle(connected.state)
    assert not await connected.is_open()


@pytest.mark.parametrize("wanted", [False, True])
async def test_lines_for_the_access_log_are_made_where_it_is_wanted(wanted: bool) -> None:
    config = Config(ignore, http=TunedProtocol, interface="asgi3", log_config=None, access_log=wanted)
    config.load()
    access, other = logging.getLogger("uvicorn.access"), logging.NullHandler()
    access.addHandler(other)
    try:
        assert TunedProtocol(config, ServerState(), {}, HttpSettings()).access_log is wanted
    finally:
        access.removeHandler(other)


async def test_a_connection_that_never_asked_is_closed(connected: Connected) -> None:
    close_idle(connected.state)
    assert await connected.reader.read() == b""


@pytest.mark.parametrize("closes", ["drain", "keep-alive timer"])
async def test_a_request_in_the_kernel_is_not_closed_upon(connected: Connected, closes: str) -> None:
    """A loop that is late runs the timer before it reads."""
    assert await connected.is_open()
    connected.protocol.transport.pause_reading()
    connected.writer.write(REQUEST)
    await eventually_async(connected.protocol.bytes_waiting, "the request lies in the kernel")
    if closes == "drain":
        close_idle(connected.state)
    else:
        connected.protocol.timeout_keep_alive_handler()
    connected.protocol.transport.resume_reading()
    assert (await connected.answer()).endswith(b"ok")


async def test_a_request_that_has_arrived_in_part_is_not_closed_upon(connected: Connected) -> None:
    connected.writer.write(REQUEST[:20])
    await eventually_async(lambda: connected.protocol.stage is Stage.HEAD, "a part has arrived")
    close_idle(connected.state)
    connected.writer.write(REQUEST[20:])
    assert (await connected.answer()).endswith(b"ok")


async def test_a_request_in_progress_is_answered_with_the_word_that_it_is_the_last(connected: Connected) -> None:
    connected.may_answer.clear()
    connected.writer.write(REQUEST)
    await eventually_async(lambda: connected.protocol.cycle is not None, "the request is being answered")
    announce(connected.state)
    close_idle(connected.state)
    connected.may_answer.set()
    assert b"connection: close" in await connected.answer()
    assert await connected.reader.read() == b""


async def test_an_idle_connection_is_told_with_its_next_answer(connected: Connected) -> None:
    assert await connected.is_open()
    announce(connected.state)
    connected.writer.write(REQUEST)
    assert b"connection: close" in await connected.answer()
    assert await connected.reader.read() == b""


async def test_pipelined_requests_are_all_answered(connected: Connected) -> None:
    connected.may_answer.clear()
    connected.writer.write(REQUEST * 3)
    await eventually_async(lambda: len(connected.protocol.pipeline) == 2, "all three have arrived")
    announce(connected.state)
    connected.may_answer.set()
    responses = [await connected.answer() for _ in range(3)]
    assert [b"connection: close" in answer for answer in responses] == [False, False, True]
    assert await connected.reader.read() == b""
