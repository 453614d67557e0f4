"""Whatever an application says, a response goes out as uvicorn would send it, or fails as it would."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from paceline.serve.worker.response import Response
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

NAMES = [b"content-type", b"Content-Type", b"content-length", b"Content-Length", b"transfer-encoding", b"connection",
         b"x-odd name", b"x-bad\r\n", b"set-cookie", b"", "text", bytearray(b"etag")]  # fmt: skip
VALUES = [b"text/plain", b"2", b"0", b" 2 ", b"-1", b"two", b"chunked", b"close", b"keep-alive", b"a\r\nb: c", b"\x00",
          b"\xff", b"", "text", bytearray(b"2")]  # fmt: skip
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=4)
DEFAULTS = st.sampled_from([[], [(b"date", b"today")], [(b"connection", b"close")], [(b"content-length", b"2")],
                            [(b"server", b"a\nb")], [(b"Server", b"uvicorn"), (b"date", b"today")]])  # fmt: skip
BODIES = st.lists(st.tuples(st.sampled_from([b"", b"ok", b"o"]), st.booleans()), max_size=3)


class Wire(asyncio.Transport):
    """Notes what is done to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        self.sent.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def respond(kind: type[RequestResponseCycle], messages: list[Any], **given: Any) -> tuple[Any, ...]:
    """What becomes of a request: bytes, the state afterwards, the error of each message."""
    wire, completed = Wire(), []
    defaults = given.pop("default_headers", [])
    method, keep_alive = given.pop("method", "GET"), given.pop("keep_alive", True)

    async def run() -> tuple[Any, ...]:
        cycle = kind(
            scope={"type": "http", "method": method},  # type: ignore[typeddict-item,misc]
            transport=wire, flow=FlowControl(wire), logger=None, access_logger=None, access_log=False,  # type: ignore[arg-type]
            default_headers=defaults, message_event=asyncio.Event(), expect_100_continue=True,
            keep_alive=keep_alive, on_response=lambda: completed.append(1),
        )  # fmt: skip
        cycle.disconnected = given.pop("disconnected", False)
        errors = [await _error(cycle.send(message)) for message in messages]
        state = {name: value for name, value in vars(cycle).items() if isinstance(value, bool | int | None)}
        return b"".join(wire.sent), wire.closed, len(completed), state, errors

    return asyncio.run(run())


async def _error(sending: Coroutine[Any, Any, None]) -> str | None:
    try:
        await sending
    except Exception as error:
        return repr(error)
    return None


def start(status: Any = 200, headers: Any = ()) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": headers}


@given(
    status=st.sampled_from([200, 204, 304, 404, 599, 99, 600, "200", None]),
    headers=FIELDS,
    defaults=DEFAULTS,
    method=st.sampled_from(["GET", "HEAD"]),
    keep_alive=st.booleans(),
    disconnected=st.booleans(),
    bodies=BODIES,
)
@example(200, [(b"content-length", b"2")], [(b"date", b"today")], "GET", True, False, [(b"ok", False)])
@example(200, [(b"content-length", b"2"), (b"content-length", b"0")], [], "GET", True, False, [(b"ok", False)])
@example(200, [(b"x-odd name", b"2")], [], "GET", True, False, [(b"ok", False)])
@example(200, [(b"x-odd", b"a\r\nb: c")], [], "GET", True, False, [(b"ok", False)])
@example(200, [(b"connection", b"close")], [], "GET", True, False, [(b"ok", False)])
@example(200, [(b"transfer-encoding", b"chunked")], [], "GET", True, False, [(b"ok", False)])
@example(204, [], [], "GET", True, False, [(b"", False)])
@example(200, [], [], "HEAD", True, False, [(b"", False)])
@example(200, [(b"content-length", b"2")], [], "GET", False, False, [(b"ok", False)])
@example(200, [(b"content-length", b"2")], [], "GET", True, True, [(b"ok", False)])
@example(200, [], [(b"content-length", b"2")], "GET", True, False, [(b"ok", False)])
@example(200, [], [(b"connection", b"close")], "GET", True, False, [(b"ok", False)])
@example(200, [], [(b"server", b"a\nb")], "GET", True, False, [(b"ok", False)])
@example(200, [], [], "GET", True, False, [(b"o", True), (b"", False)])
def test_what_is_sent_is_what_uvicorn_sends(
    status: Any, headers: Any, defaults: Any, method: str, keep_alive: bool, disconnected: bool, bodies: Any
) -> None:
    body = [{"type": "http.response.body", "body": part, "more_body": more} for part, more in bodies]
    messages = [start(status, headers), *body]
    given = {
        "default_headers": defaults, "method": method, "keep_alive": keep_alive, "disconnected": disconnected,
    }  # fmt: skip

    assert respond(Response, messages, **given) == respond(RequestResponseCycle, messages, **given)


@pytest.mark.parametrize(
    "messages",
    [
        [{"type": "http.response.body"}],
        [start(), start()],
        [{"type": "http.response.start", "status": 200}],
        [{"type": "http.response.start", "headers": []}],
        [{}],
    ],
    ids=["body first", "twice", "no headers", "no status", "no type"],
)
def test_messages_that_make_no_response_fail_as_with_uvicorn(messages: list[Any]) -> None:
    assert respond(Response, messages) == respond(RequestResponseCycle, messages)


def test_headers_that_can_be_read_once_are_sent() -> None:
    sent, *_ = respond(Response, [start(headers=iter([(b"content-length", b"0"), (b"connection", b"close")]))])

    assert sent == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


def test_the_date_of_now_is_sent_not_that_of_the_response_before() -> None:
    for day in (b"Monday", b"Tuesday"):
        sent, *_ = respond(Response, [start(headers=[])], default_headers=[(b"date", day)])

        assert b"date: " + day in sent


def test_messages_sent_before_any_is_awaited_go_out_in_turn() -> None:
    async def all_at_once(kind: type[RequestResponseCycle]) -> tuple[list[bytes], list[str]]:
        wire = Wire()
        cycle = kind(
            scope={"type": "http", "method": "GET"},  # type: ignore[typeddict-item,misc]
            transport=wire, flow=FlowControl(wire), logger=None, access_logger=None, access_log=False,  # type: ignore[arg-type]
            default_headers=[], message_event=asyncio.Event(), expect_100_continue=False, keep_alive=True,
            on_response=lambda: None,
        )  # fmt: skip
        messages = [start(headers=[]), start(headers=[]), {"type": "http.response.body", "body": b"ok"}]
        outcomes = await asyncio.gather(*(cycle.send(message) for message in messages), return_exceptions=True)
        return wire.sent, [repr(outcome) for outcome in outcomes]

    assert asyncio.run(all_at_once(Response)) == asyncio.run(all_at_once(RequestResponseCycle))
