"""The layer that refuses large bodies, declared or in chunks, before an application and before a framework."""

from collections.abc import Sequence
from typing import Any

import orjson
import pytest
from fastapi import Body, FastAPI
from paceline.middleware.body_limit import BodyLimitMiddleware, parse_routes

OK = [{"type": "http.response.start", "status": 200, "headers": []}, {"type": "http.response.body", "body": b"ok"}]


class Reading:
    """Reads to the end, then answers; remembers how much it got and whether the client left."""

    def __init__(self, *, early: bool = False, answers_all_the_same: bool = True) -> None:
        self.read = 0
        self.left = False
        self.early = early
        self.answers_all_the_same = answers_all_the_same

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if self.early:
            await send(OK[0])
        while (message := await receive())["type"] == "http.request":
            self.read += len(message["body"])
            if not message["more_body"]:
                break
        self.left = message["type"] == "http.disconnect"
        if self.left and not self.answers_all_the_same:
            raise ConnectionError("the client is gone")
        for message in OK[self.early :]:
            await send(message)


async def call(app: Any, chunks: Sequence[bytes], *headers: tuple[bytes, bytes], kind: str = "http") -> list[Any]:
    sent: list[Any] = []
    parts = [{"type": "http.request", "body": c, "more_body": n < len(chunks)} for n, c in enumerate(chunks, 1)]

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return parts.pop(0)

    scope = {"type": kind, "method": "POST", "path": "/", "query_string": b"", "headers": list(headers)}
    await app(scope, receive, send)
    return sent


def refused(sent: list[Any]) -> bool:
    start, body = sent
    problem = orjson.loads(body["body"])
    assert (problem["error"], problem["detail"]) == ("ContentTooLarge", "the body is larger than 10 bytes")
    return bool(start["status"] == 413)


async def test_a_body_within_the_limit_reaches_the_application() -> None:
    reading = Reading()
    assert (
        await call(BodyLimitMiddleware(reading, most_bytes=10), [b"12345", b"67890"], (b"content-length", b"10")) == OK
    )
    assert (reading.read, reading.left) == (10, False)


async def test_what_says_that_it_is_too_large_is_not_read() -> None:
    reading = Reading()
    assert refused(await call(BodyLimitMiddleware(reading, most_bytes=10), [b"x" * 11], (b"content-length", b"11")))
    assert reading.read == 0


@pytest.mark.parametrize("responses", [True, False])
async def test_what_turns_out_too_large_is_refused_once(responses: bool) -> None:
    reading = Reading(answers_all_the_same=responses)
    assert refused(await call(BodyLimitMiddleware(reading, most_bytes=10), [b"x" * 6, b"x" * 6, b"x" * 6]))
    assert (reading.read, reading.left) == (6, True)


async def test_a_response_that_has_begun_is_not_taken_back() -> None:
    reading = Reading(early=True)
    assert await call(BodyLimitMiddleware(reading, most_bytes=10), [b"x" * 11]) == OK
    assert reading.left
    with pytest.raises(ConnectionError):
        await call(BodyLimitMiddleware(Reading(early=True, answers_all_the_same=False), most_bytes=10), [b"x" * 11])


async def test_a_framework_is_refused_too() -> None:
    app = FastAPI()

    @app.post("/")
    async def take(text: str = Body()) -> str:
        return text

    limited = BodyLimitMiddleware(app, most_bytes=10)
    json = (b"content-type", b"application/json")
    assert (await call(limited, [b'"12', b'345"'], json))[0]["status"] == 200
    assert refused(await call(limited, [b'"12345', b'67890"'], json))


async def test_an_error_of_the_application_stays_one() -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        await call(BodyLimitMiddleware(broken, most_bytes=10), [b""])


@pytest.mark.parametrize("length", [b"", b"ten", b"-1"])
async def test_a_length_that_is_none_is_counted(length: bytes) -> None:
    assert refused(await call(BodyLimitMiddleware(Reading(), most_bytes=10), [b"x" * 11], (b"content-length", length)))


async def test_a_websocket_passes() -> None:
    async def chat(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "websocket.close"})

    assert await call(BodyLimitMiddleware(chat, most_bytes=1), [], kind="websocket") == [{"type": "websocket.close"}]


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/files/a", 1),
        ("/files/", 5),
        ("/files/a/b", 2),
        ("/files", 5),
        ("/a.b", 3),
        ("/axb", 5),
        ("/tree/x/y/z", 4),
        ("/tree/", 4),
        ("/other", 5),
        ("/files/a\n", 1),
    ],
)
async def test_the_first_route_like_the_path_counts(path: str, most: int) -> None:
    routes = parse_routes("/files/{name}=1, /files/{name}/*=2, /a.b=3,/tree/{rest:path}=4")
    assert BodyLimitMiddleware(Reading(), most_bytes=5, routes=routes)._most_for(path) == most
