"""Cached routes of a FastAPI application under `paceline serve`, as clients see them."""

import http.client
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest
from serving import Served, eventually, pod

pytestmark = pytest.mark.invariant


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("cached")
    with pod(folder, "cached:app") as served:
        yield served


def get(
    served: Served, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request(method, path, headers=headers or {})
    response = connection.getresponse()
    response.content = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


def body(response: http.client.HTTPResponse) -> dict[str, object]:
    return dict(orjson.loads(response.content))  # type: ignore[attr-defined]


def test_a_report_is_given_only_to_those_with_a_key(served: Served) -> None:
    for key, status in ((None, 401), ("ada", 200), (None, 401), ("bob", 200), ("ada", 200), (None, 401)):
        response = get(served, "/reports", {"X-API-Key": key} if key else {})
        assert response.status == status
        if key:
            assert body(response) == {"report": f"{key}'s report"}


def test_a_key_that_is_optional_stays_its_senders(served: Served) -> None:
    for key in ("ada", None, "bob", None, "ada"):
        assert body(get(served, "/optional", {"X-API-Key": key} if key else {})) == {"key": key}


def test_a_declared_key_has_responses_of_its_own(served: Served) -> None:
    responses = [body(get(served, "/keyed", {"X-API-Key": key})) for key in ("ada", "bob", "ada")]
    assert responses[0] == responses[2] != responses[1]
    assert get(served, "/keyed").status == 401


def test_links_name_the_host_that_each_client_used(served: Served) -> None:
    for host in ("other.example", "api.example", "other.example", "api.example:81"):
        assert body(get(served, "/links", {"Host": host})) == {"self": f"http://{host}/links"}
    assert "/links: no response is cached so far: of its response, it contains the Host of its request" in served.stderr
    assert served.stderr.count("/links: no response is cached") == 1


def test_work_after_the_response_delays_nobody_and_loses_nothing(served: Served) -> None:
    started = time.monotonic()
    first = get(served, "/later")
    second = get(served, "/later")
    assert time.monotonic() - started < 2
    assert body(first) == body(second)
    eventually(lambda: "LookupError: in the background" in served.stderr, "the failure is logged")
    assert body(get(served, "/later")) == body(first)


def test_browsers_share_where_cookies_are_ignored(served: Served) -> None:
    first = get(served, "/greeting/a?tag=1&tag=2", {"Cookie": "session=1", "Accept-Language": "de"})
    second = get(served, "/greeting/a?x=3&tag=1&tag=2", {"Cookie": "session=2"})
    assert body(first) == body(second)
    assert (body(first)["cookies"], body(first)["tags"]) == ({}, ["1", "2"])
    assert second.headers["Cache-Status"].startswith("paceline; hit")
    assert body(get(served, "/greeting/a?tag=2&tag=1"))["tags"] == ["2", "1"]


def test_conditions_heads_and_ranges(served: Served) -> None:
    whole = get(served, "/greeting/b")
    assert get(served, "/greeting/b", {"If-None-Match": '"x", W/"greeting"'}).status == 304
    head = get(served, "/greeting/b", method="HEAD")
    assert (head.status, head.headers["Content-Length"]) == (200, whole.headers["Content-Length"])
    part = get(served, "/greeting/b", {"Range": "bytes=0-1"})
    assert (part.status, body(part)) == (200, body(whole))


def test_pages_of_allowed_origins_may_read_and_others_may_not(served: Served) -> None:
    for _ in range(2):
        allowed = get(served, "/greeting/c", {"Origin": "https://page.example"})
        other = get(served, "/greeting/c", {"Origin": "https://evil.example"})
        plain = get(served, "/greeting/c")
        assert allowed.headers["Access-Control-Allow-Origin"] == "https://page.example"
        assert other.headers["Access-Control-Allow-Origin"] is None
        assert plain.headers["Access-Control-Allow-Origin"] is None
    assert allowed.headers["Cache-Status"].startswith("paceline; hit")


def test_spellings_of_a_path_do_not_collide(served: Served) -> None:
    assert body(get(served, "/greeting/a%3Ftag=1"))["name"] == "a?tag=1"
    assert body(get(served, "/greeting/a?tag=1"))["name"] == "a"
    assert body(get(served, "/greeting/a%252Fb"))["name"] == "a%2Fb"
    assert get(served, "/greeting/a%2Fb").status == 404
