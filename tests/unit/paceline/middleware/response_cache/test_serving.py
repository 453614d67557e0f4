"""Cached responses in front of an application: how old they are, and what happens while many ask at once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from paceline.document.model import Values
from paceline.document.tunables import CacheValues
from paceline.errors import UsageError
from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.middleware.response_cache.response import CachedResponse, ResponseSerializer
from paceline.resources.registry import Tunables

Pairs = list[tuple[bytes, bytes]]


class Origin:
    """An application that counts what it is asked and can be slow."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.headers: Pairs = [(b"content-type", b"text/plain"), (b"x-request-id", b"first")]
        self.pieces = [b"hello ", b"world"]
        self.failure: Exception | None = None
        self.begun = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.asked.append(scope)
        self.begun.set()
        number = len(self.asked)
        await self.open.wait()
        if self.failure and not self.pieces:
            raise self.failure
        headers = [*self.headers, (b"x-number", b"%d" % number)]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for piece in self.pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        if self.failure:
            raise self.failure


class Answer:
    def __init__(self) -> None:
        self.status = 0
        self.body = b""
        self.headers: dict[str, str] = {}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message["body"]

    @property
    def number(self) -> int:
        """Which of the application's answers it is."""
        return int(self.headers["x-number"])


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


class Front:
    """The layer with one route in front of an origin."""

    def __init__(self, **route: Any) -> None:
        self.origin = Origin()
        self.clock = Clock()
        self.tunables = Tunables()
        options: dict[str, Any] = {"name": "answers", "ttl": 60, "max_staleness": 300, **route}
        routes = {"/kept": CachedRoute(**options), "/of/{name}": CachedRoute(**options)}
        self.app = ResponseCacheMiddleware(self.origin, routes=routes, tunables=self.tunables, clock=self.clock)

    async def get(
        self, path: str = "/kept", *headers: tuple[bytes, bytes], query: bytes = b"", method: str = "GET"
    ) -> Answer:
        answer = Answer()
        scope = {"type": "http", "method": method, "path": path, "query_string": query, "headers": list(headers)}
        self.scope = scope | {"state": {"request_id": "mine"}}
        await self.app(self.scope, self._receive, answer.send)
        return answer

    async def until(self, wanted: Callable[[Answer], bool]) -> None:
        """Asks again until the response is as wanted."""
        for _ in range(100):
            if wanted(await self.get()):
                return
            await asyncio.sleep(0)
        raise AssertionError("it never was")

    async def _receive(self) -> Any:
        raise AssertionError("a shared request must not read one client's body")

    async def idle(self) -> None:
        """Waits until the application has nothing to do."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def many(self, count: int) -> list[Answer]:
        """Asks at the same time, and lets the application answer once all have."""
        self.origin.open.clear()
        tasks = [asyncio.create_task(self.get()) for _ in range(count)]
        await self.origin.begun.wait()
        for _ in range(5):
            await asyncio.sleep(0)
        self.origin.open.set()
        return await asyncio.gather(*tasks)


@pytest.fixture
def front() -> Front:
    return Front()


async def test_a_kept_answer_is_given_again_with_its_age(front: Front) -> None:
    first = await front.get()
    front.clock.now += 12
    second = await front.get()
    assert (first.body, first.headers["cache-status"], first.headers["age"]) == (
        b"hello world",
        "paceline; fwd=miss; stored",
        "0",
    )
    assert (second.body, second.headers["cache-status"], second.headers["age"]) == (
        b"hello world",
        "paceline; hit; ttl=48",
        "12",
    )
    assert second.headers["content-length"] == "11"
    assert "x-request-id" not in second.headers
    assert len(front.origin.asked) == 1
    assert front.scope["path_template"] == "/kept"


async def test_other_paths_methods_and_protocols_pass(front: Front) -> None:
    for path, method in (("/other", "GET"), ("/kept", "POST"), ("/of/a/b", "GET")):
        assert "cache-status" not in (await front.get(path, method=method)).headers
    lifespan: dict[str, Any] = {"type": "lifespan"}
    front.origin.pieces, front.origin.failure = [], LookupError()
    with pytest.raises(LookupError):
        await front.app(lifespan, front._receive, Answer().send)
    assert front.origin.asked[-1] is lifespan


async def test_a_template_keeps_each_path_by_itself(front: Front) -> None:
    assert [(await front.get(f"/of/{name}")).number for name in "aba"] == [1, 2, 1]
    assert front.scope["path_template"] == "/of/{name}"


async def test_head_is_answered_without_a_body(front: Front) -> None:
    asked = await front.get(method="HEAD")
    kept = await front.get(method="HEAD")
    assert (asked.body, kept.body, kept.headers["content-length"]) == (b"", b"", "11")
    assert (await front.get()).body == b"hello world"
    assert [scope["method"] for scope in front.origin.asked] == ["GET"]


@pytest.mark.parametrize("name", [b"authorization", b"cookie", b"content-length", b"transfer-encoding"])
async def test_who_may_be_answered_personally_goes_to_the_application(front: Front, name: bytes) -> None:
    await front.get()
    responses = [await front.get("/kept", (name, b"7")) for _ in range(2)]
    assert [answer.number for answer in responses] == [2, 3]
    assert (await front.get()).number == 1


@pytest.mark.parametrize(
    "header",
    [
        (b"set-cookie", b"a=b"),
        (b"Set-Cookie", b"a=b"),
        (b"cache-control", b"public, No-Store"),
        (b"cache-control", b'private="x-user"'),
        (b"cache-control", b"no-cache"),
        (b"vary", b"accept-language"),
        (b"vary", b"*"),
    ],
)
async def test_what_the_response_forbids_is_kept_for_nobody(front: Front, header: tuple[bytes, bytes]) -> None:
    front.origin.headers.append(header)
    first, second = await front.get(), await front.get()
    assert second.number == first.number + 1
    assert (second.body, "cache-status" in second.headers) == (b"hello world", False)
    responses = await front.many(3)
    assert len({answer.number for answer in responses}) == 3


@pytest.mark.parametrize("status", [201, 204, 301, 404, 429])
async def test_other_statuses_are_not_kept_nor_shared(front: Front, status: int) -> None:
    front.origin.status = status
    responses = [await front.get(), *await front.many(2)]
    assert [answer.status for answer in responses] == [status] * 3
    assert len({answer.number for answer in responses}) == 3


async def test_declared_credentials_are_part_of_the_key() -> None:
    front = Front(headers=("Authorization", "Cookie"))
    users = [(b"authorization", user) for user in (b"ada", b"bob", b"ada")]
    assert [(await front.get("/kept", user)).number for user in users] == [1, 2, 1]
    assert (await front.get("/kept", (b"cookie", b"ada"))).number == 3


async def test_a_response_may_vary_by_what_is_declared() -> None:
    front = Front(headers=("accept-language",))
    front.origin.headers.append((b"vary", b"Accept-Language"))
    languages = [(b"accept-language", each) for each in (b"de", b"en", b"de")]
    assert [(await front.get("/kept", each)).number for each in languages] == [1, 2, 1]


async def test_only_declared_parameters_reach_the_route_and_the_key() -> None:
    front = Front(query=("page", "sort"))
    queries = [b"page=1&sort=a&evil=1", b"sort=a&page=1", b"page=1", b"page=1%26sort%3Da", b"page="]
    assert [(await front.get(query=query)).number for query in queries] == [1, 1, 2, 3, 4]
    assert front.origin.asked[0]["query_string"] == b"page=1&sort=a"


async def test_conditions_of_one_client_are_not_those_of_all(front: Front) -> None:
    front.origin.headers.append((b"etag", b'"v1"'))
    first = await front.get("/kept", (b"if-none-match", b'"other"'), (b"range", b"bytes=0-1"))
    assert (first.status, first.body) == (200, b"hello world")
    assert [name for name, _ in front.origin.asked[0]["headers"]] == [b"host"]
    for known in (b'"v1"', b'W/"v1"', b'"v0", "v1"', b"*"):
        again = await front.get("/kept", (b"if-none-match", known))
        assert (again.status, again.body, again.headers["etag"]) == (304, b"", '"v1"')
        assert "content-length" not in again.headers


async def test_many_at_once_ask_once(front: Front) -> None:
    responses = await front.many(10)
    assert {answer.number for answer in responses} == {1}
    assert sorted(answer.headers["cache-status"] for answer in responses) == [
        *["paceline; fwd=miss; collapsed"] * 9,
        "paceline; fwd=miss; stored",
    ]


async def test_one_client_that_leaves_takes_the_response_from_nobody(front: Front) -> None:
    front.origin.open.clear()
    leaving, staying = asyncio.create_task(front.get()), asyncio.create_task(front.get())
    await front.origin.begun.wait()
    leaving.cancel()
    await asyncio.sleep(0)
    front.origin.open.set()
    assert (await staying).number == 1


async def test_the_state_of_one_request_is_not_written_by_another(front: Front) -> None:
    await front.get()
    shared = front.origin.asked[0]["state"]
    assert shared == {"request_id": "mine"}
    assert shared is not front.scope["state"]


async def test_a_stale_answer_is_given_while_a_new_one_is_fetched(front: Front) -> None:
    await front.get()
    front.clock.now += 61
    stale = await front.get()
    assert (stale.number, stale.headers["cache-status"], stale.headers["age"]) == (1, "paceline; hit; ttl=-1", "61")
    await front.until(lambda answer: answer.number == 2)


@pytest.mark.parametrize("how", ["503", "raises", "answers and raises"])
async def test_a_failing_application_is_covered_as_long_as_staleness_allows(front: Front, how: str) -> None:
    await front.get()
    front.origin.status = 503
    if how != "503":
        front.origin.failure = ConnectionError()
        front.origin.pieces = [] if how == "raises" else [b"sorry"]
    front.clock.now += 359
    for _ in range(3):
        assert (await front.get()).number == 1
        await asyncio.sleep(0)
    front.clock.now += 1
    await front.idle()
    if how == "503":
        assert (await front.get()).status == 503
    else:
        with pytest.raises(ConnectionError):
            await front.get()


async def test_a_failure_is_shared_by_those_who_asked_at_once(front: Front) -> None:
    front.origin.status = 500
    responses = await front.many(4)
    assert [(answer.status, answer.number) for answer in responses] == [(500, 1)] * 4
    assert (await front.get()).number == 2


async def test_what_is_gone_is_not_covered(front: Front) -> None:
    await front.get()
    front.origin.status = 404
    front.clock.now += 61
    assert (await front.get()).status == 200  # stale, and the new one is on its way
    await front.until(lambda answer: answer.status == 404)


async def test_a_ttl_of_zero_asks_each_time(front: Front) -> None:
    front.tunables.apply(Values(caches={"answers": CacheValues(0)}))
    assert [(await front.get()).number for _ in range(3)] == [1, 2, 3]
    front.origin.status = 404
    assert (await front.get()).status == 404


async def test_a_response_that_is_too_long_is_passed_on_and_not_kept(front: Front) -> None:
    front.origin.pieces = [b"x" * 600_000] * 2
    responses = [await front.get() for _ in range(2)]
    assert [len(answer.body) for answer in responses] == [1_200_000] * 2
    assert "cache-status" not in responses[0].headers


async def test_what_an_application_raises_after_its_response_does_not_lose_it(front: Front) -> None:
    front.origin.failure = LookupError("a background task")
    with pytest.raises(LookupError):
        await front.get()
    front.clock.now += 1
    assert (await front.get()).headers["cache-status"] == "paceline; hit; ttl=59"
    assert len(front.origin.asked) == 1


async def test_routes_of_one_name_are_one_cache(front: Front) -> None:
    await front.get()
    await front.get()
    await front.get("/of/a")
    [(name, report)] = front.tunables.report()["caches"].items()
    assert (name, report["hits"], report["misses"], report["fetch"]["count"]) == ("answers", 1, 2, 2)


@pytest.mark.parametrize(
    ("routes", "complaint"),
    [
        ({"kept": CachedRoute(name="a", ttl=1)}, "must begin with a slash"),
        ({"/a": CachedRoute(name="a", ttl=-1)}, "ttl must be a number of seconds"),
        ({"/a": CachedRoute(name="a", ttl=1), "/b": CachedRoute(name="a", ttl=2)}, "/a and /b share the cache 'a'"),
    ],
)
def test_wrong_routes_are_named(routes: dict[str, CachedRoute], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        ResponseCacheMiddleware(Origin(), routes=routes, tunables=Tunables())


@pytest.mark.parametrize(
    "content", [b'[["a", "b"]]\nbody', b"", b"{}\n", b'{"createdAt": 1, "headers": [["a"]]}\n', b"x"]
)
def test_what_another_release_wrote_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="no cached response of this release"):
        ResponseSerializer().loads(content)


def test_every_response_survives_redis() -> None:
    kept = CachedResponse(((b"content-type", b"text/plain; \xe4"), (b"x", b'"\\')), b"line\nline\x00\xff", 12.5)
    assert ResponseSerializer().loads(ResponseSerializer().dumps(kept)) == kept
