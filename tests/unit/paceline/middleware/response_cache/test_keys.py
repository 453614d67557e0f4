"""Requests that differ in what a route sees never share a response; two spellings of one request do."""

import asyncio
from typing import Any

import pytest
from cached_site import Pairs, Site, headers_of, request_line
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.resources.registry import Tunables
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Host, Route
from starlette.testclient import TestClient

pytestmark = pytest.mark.invariant


@pytest.mark.parametrize(
    "pairs",
    [
        ({"query_string": b"tag=a&tag=b"}, {"query_string": b"tag=b&tag=a"}),
        ({"query_string": b"tag=a%26tag%3Db"}, {"query_string": b"tag=a&tag=b"}),
        ({"query_string": b"tag="}, {"query_string": b""}),
        ({"query_string": b"tag=a%00"}, {"query_string": b"tag=a"}),
        ({"query_string": b"tag=%ff"}, {"query_string": b"tag=%fe"}),
        ({"query_string": b"tag=\xff"}, {"query_string": b"tag=\xfe"}),
        ({"query_string": b"tag=%ff"}, {"query_string": b"tag=%ef%bf%bd"}),
        ({"query_string": b"tag=a%2Bb"}, {"query_string": b"tag=a+b"}),
        ({"query_string": b"tag=a;tag=b"}, {"query_string": b"tag=a&tag=b"}),
        ({"query_string": b"tag=%2561"}, {"query_string": b"tag=%61"}),
        ({"query_string": b"tag=a&tag=a"}, {"query_string": b"tag=a"}),
        ({"path": "/x/a?tag=1", "raw_path": b"/x/a%3Ftag=1"}, {"path": "/x/a", "query_string": b"tag=1"}),
        ({"path": "/x/a%2Fb", "raw_path": b"/x/a%252Fb"}, {"path": "/x/a/b", "raw_path": b"/x/a%2Fb"}),
        ({"path": "/x/a/b", "raw_path": b"/x/a%2Fb"}, {"path": "/x/a/b", "raw_path": b"/x/a/b"}),
        ({"path": "/x/a#b", "raw_path": b"/x/a%23b"}, {"path": "/x/a", "raw_path": b"/x/a"}),
        ({"path": "/x/\ufffd", "raw_path": b"/x/%ff"}, {"path": "/x/\ufffd", "raw_path": b"/x/%fe"}),
        ({"path": "/x/a", "raw_path": b"/de/x/a"}, {"path": "/x/a", "raw_path": b"/en/x/a"}),
        ({"path": "/x/a", "root_path": "/v1"}, {"path": "/x/a", "root_path": "/v2"}),
        ({"path": "/x/a//b"}, {"path": "/x/a/b"}),
        ({"path": "/x/A"}, {"path": "/x/a"}),
        ({"path": "/x/a "}, {"path": "/x/a"}),
    ],
)
async def test_requests_that_differ_do_not_share(pairs: tuple[dict[str, Any], dict[str, Any]]) -> None:
    site = Site(request_line, path="/x/{name:path}", query=("tag",))
    bodies = [(await site.get(**{"path": "/x/a", **request})).body for request in pairs]
    assert bodies[0] != bodies[1]
    assert site.calls == 2
    assert (await site.get(**{"path": "/x/a", **pairs[0]})).body == bodies[0]
    assert site.calls == 2


async def test_one_request_in_two_spellings_is_one_key() -> None:
    site = Site(request_line, path="/x/{name}", query=("a", "b"))
    one = await site.get(path="/x/ab", raw_path=b"/x/%61b", query_string=b"b=2&a=1&other=3")
    two = await site.get(path="/x/ab", raw_path=b"/x/ab", query_string=b"a=%31&b=2")
    assert (one.body, site.calls) == (two.body, 1)
    spaces = [await site.get(path="/x/ab", query_string=query) for query in (b"a=1+2", b"&%61=1%202&", b"a=1%202&&")]
    assert {each.body for each in spaces} == {spaces[0].body}
    assert site.calls == 2


async def test_the_order_of_repeated_headers_counts() -> None:
    site = Site(headers_of, headers=("x-lang",))
    orders = [[(b"x-lang", b"a"), (b"X-Lang", b"b")], [(b"x-lang", b"b"), (b"x-lang", b"a")]]
    assert [(await site.get(order)).body for order in orders] == [b"x-lang=a|x-lang=b", b"x-lang=b|x-lang=a"]


async def test_a_mounted_application_finds_its_routes() -> None:
    site = Site(headers_of)
    for root in ("/v1", "/v1", "/v2"):
        await site.get(path=f"{root}/data", root_path=root)
    assert site.calls == 2


def _tenant(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    return 200, [], repr(scope["path_params"].get("tenant")).encode()


@pytest.mark.parametrize("path", ["/data", "/{name}"])
@pytest.mark.parametrize("tenants", [("a", "b"), (1, "1"), (1, True), (None, "None")])
async def test_parameters_that_a_router_in_front_found_in_the_host_have_responses_of_their_own(
    path: str, tenants: tuple[Any, Any]
) -> None:
    site = Site(_tenant, path=path)
    for tenant in (*tenants, *tenants):
        assert (await site.get(path_params={"tenant": tenant})).body == repr(tenant).encode()
    assert site.calls == 2


async def test_a_parameter_that_is_equal_to_itself_alone_is_hidden() -> None:
    site = Site(_tenant)
    assert (await site.get(path_params={"tenant": object()})).body == b"None"


def test_each_host_of_a_router_in_front_gets_its_own_responses() -> None:
    async def tenant(request: Request) -> JSONResponse:
        return JSONResponse(request.path_params["tenant"])

    cached = ResponseCacheMiddleware(
        Starlette(routes=[Route("/data", tenant)]),
        routes={"/data": CachedRoute(name="data", ttl=60)},
        tunables=Tunables(),
    )
    client = TestClient(Starlette(routes=[Host("{tenant}.example.com", cached)]))
    for name in ("a", "b", "a"):
        assert client.get("/data", headers={"host": f"{name}.example.com"}).json() == name


@pytest.mark.parametrize(
    "options",
    [
        {"query": "page"},
        {"headers": "host"},
        {"headers": ("x lang",)},
        {"cookies": ("a;b",)},
        {"headers": ("Cookie",), "ignore": ("cookie",)},
        {"headers": ("cookie",), "cookies": ("theme",)},
        {"ignore": ("x",), "bypass": ("X",)},
    ],
)
def test_contradictions_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="CachedRoute 'a'"):
        CachedRoute(name="a", ttl=1, **options)


@pytest.mark.parametrize("host", ["", "http://api.example", "api.example/x", "a b", "a\r\nb", "api.example:http"])
def test_a_host_that_is_none_is_refused(host: str) -> None:
    with pytest.raises(UsageError, match="host must be a name"):
        ResponseCacheMiddleware(Site()._call, routes={}, host=host, tunables=Tunables())


NAMES = st.sampled_from(
    [b"host", b"x-lang", b"X-Lang", b"x_lang", b"cookie", b"authorization", b"accept", b"origin", b"x-k"]
)

VALUES = st.sampled_from([b"", b"a", b"b", b"a=1; theme=x", b"theme=y", b"a, b", b"\xff"])

REQUESTS = st.fixed_dictionaries(
    {
        "headers": st.lists(st.tuples(NAMES, VALUES), max_size=4),
        "query_string": st.sampled_from(
            [b"", b"q=1", b"q=2&q=1", b"q=1&q=2", b"q=1&z=3", b"z=4", b"q=%31", b"q=1%26q=2"]
        ),
        "path": st.sampled_from(["/x/a", "/x/b", "/x/a?q=1", "/x/%61"]),
        "root_path": st.sampled_from(["", "/x"]),
        "scheme": st.sampled_from(["http", "https"]),
        "client": st.sampled_from([None, ("192.0.2.7", 1), ("192.0.2.8", 2)]),
    }
)


@settings(max_examples=100, deadline=None)
@given(st.lists(REQUESTS, min_size=2, max_size=6))
def test_every_response_is_one_that_its_own_request_could_have_got(requests: list[dict[str, Any]]) -> None:
    """Whoever was there before, a client gets what it gets when it comes first."""

    async def run() -> None:
        site = Site(request_line, path="/x/{name:path}", query=("q",), headers=("x-lang",))
        for request in requests:
            first = Site(request_line, path="/x/{name:path}", query=("q",), headers=("x-lang",))
            alone = await first.get(**{**request, "raw_path": None})
            got = await site.get(**{**request, "raw_path": None})
            assert (got.status, got.body) == (200, alone.body)

    asyncio.run(run())
