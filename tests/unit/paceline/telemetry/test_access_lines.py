"""Lines of the access log, and their way out."""

import asyncio
import logging
import os
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.telemetry.access_lines import AccessLog, LineBuffer
from serving import eventually_async

SCOPE = {
    "type": "http", "method": "GET", "path": "/orders/7 ", "raw_path": b"/orders/7%20", "http_version": "1.1",
    "client": ("10.0.0.1", 5), "headers": [], "state": {"request_id": "r-1"}, "path_template": "/orders/{id}",
}  # fmt: skip
TRACE = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}
MOMENT = 1796069848.1239


def line(form: str, scope: dict[str, Any], trace: dict[str, str] = TRACE) -> str:
    lines: list[str] = []
    log = AccessLog(form, lines.append, generation=lambda: 17, trace_fields=lambda: trace, now=lambda: MOMENT)
    log.write(scope, 200, 512, 0.0042104)
    log.write(scope, 200, 512, 0.0042104)
    assert lines[0] == lines[1]
    return lines[0]


def test_a_line_of_json_has_route_generation_and_trace() -> None:
    assert orjson.loads(line("json", SCOPE)) == {
        "time": "2026-11-30T20:17:28.123Z", "level": "info", "logger": "paceline.access",
        "message": "GET /orders/7%20 200", "process": "worker", "pid": os.getpid(), "generation": 17,
        "requestId": "r-1", **TRACE, "client": "10.0.0.1", "method": "GET", "path": "/orders/7%20",
        "route": "/orders/{id}", "status": 200, "bytes": 512, "seconds": 0.00421,
    }  # fmt: skip


def test_a_common_line_has_them_too() -> None:
    assert line("common", SCOPE) == (
        '10.0.0.1 - - [30/Nov/2026:20:17:28 +0000] "GET /orders/7%20 HTTP/1.1" 200 512 0.004210 "/orders/{id}"'
        " generation=17 request=r-1 trace=4bf92f3577b34da6a3ce929d0e0e4736"
    )


def test_what_is_not_known_is_left_out() -> None:
    bare = {"type": "http", "method": "GET", "path": "/x", "http_version": "1.0", "client": None, "headers": []}
    assert line("common", bare, {}) == (
        '- - - [30/Nov/2026:20:17:28 +0000] "GET /x HTTP/1.0" 200 512 0.004210 "other" generation=17 request=- trace=-'
    )
    read = orjson.loads(line("json", bare, {}))
    assert (read["client"], read["route"]) == (None, "other")
    assert not read.keys() & {"requestId", "traceId", "spanId"}


@given(st.text(), st.binary(max_size=2000), st.binary(max_size=50))
def test_no_request_can_make_two_lines_or_look_like_another(method: str, path: bytes, request_id: bytes) -> None:
    scope = {**SCOPE, "state": {}, "method": method, "raw_path": path, "headers": [(b"x-request-id", request_id)]}
    common, read = line("common", scope), orjson.loads(line("json", scope))
    assert common.isprintable() or "\n" not in common
    assert common.partition('" 200 512 ')[2].startswith('0.004210 "/orders/{id}" generation=17 request=')
    assert len(common) < 10_000
    assert read["status"] == 200


def read_all(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


async def test_lines_are_written_soon_in_whole_pieces() -> None:
    reader, writer = os.pipe()
    try:
        buffer = LineBuffer(writer)
        for number in range(100):
            buffer.add(f"{number} " + "x" * 200)
        assert read_all(reader) == b""
        seen = b""

        def arrived() -> bool:
            nonlocal seen
            seen += read_all(reader)
            return seen.count(b"\n") == 100

        await eventually_async(arrived, "all lines")
        assert [line.split(b" ")[0] for line in seen.splitlines()] == [b"%d" % number for number in range(100)]
    finally:
        os.close(reader)
        os.close(writer)


async def test_many_lines_do_not_wait_and_the_last_are_flushed() -> None:
    reader, writer = os.pipe()
    try:
        buffer = LineBuffer(writer)
        for _ in range(513):
            buffer.add("x")
        assert read_all(reader) == b"x\n" * 512
        buffer.flush()
        assert read_all(reader) == b"x\n"
        await asyncio.sleep(0)
    finally:
        os.close(reader)
        os.close(writer)


async def test_where_nobody_reads_the_log_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    buffer = LineBuffer(writer)
    logging.getLogger("paceline").propagate = True
    with caplog.at_level(logging.ERROR, "paceline.serve"):
        for _ in range(3):
            buffer.add("x")
            buffer.flush()
    os.close(writer)
    assert [record.getMessage() for record in caplog.records] == [
        "cannot write the access log: Broken pipe; lines are lost"
    ]
