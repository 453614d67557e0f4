"""No client gets a response that was made of another client's request, whatever the two send."""

import asyncio
import base64
import gzip
import json
import logging
import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paceline.errors import UsageError
from paceline.middleware import CachedRoute, ResponseCacheMiddleware
from paceline.resources.registry import Tunables

pytestmark = pytest.mark.invariant

Pairs = list[tuple[bytes, bytes]]
Respond = Callable[[dict[str, Any]], tuple[int, Pairs, bytes]]
MINE: Pairs = [(b"host", b"api.example"), (b"user-agent", b"one"), (b"accept-language", b"de")]
THEIRS: Pairs = [(b"host", b"other.example"), (b"user-agent", b"two"), (b"x-forwarded-host", b"evil.example")]


def everything(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    """Responds with all that it is told about a request."""
    seen = {key: repr(value) for key, value in scope.items() if key not in ("asgi", "app")}
    return 200, [(b"content-type", b"application/json")], json.dumps(seen).encode()


def headers_of(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    return 200, [], b"|".join(name + b"=" + value for name, value in scope["headers"] if name != b"host")


def request_line(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
    """Responds with what it is told, but for what is about the client."""
    kept = ("scheme", "root_path", "path", "raw_path", "query_string")
    seen = {key: repr(scope[key]) for key in kept} | {"headers": headers_of(scope)[2].decode("latin-1")}
    return 200, [(b"content-type", b"application/json")], json.dumps(seen).encode()


class Site:
    """An application of one cached route behind the middleware, and what clients get."""

    def __init__(self, respond: Respond = everything, *, path: str = "/data", **options: Any) -> None:
        middleware = {name: options.pop(name) for name in ("host", "shared") if name in options}
        self.respond = respond
        self.calls = 0
        self.lifespan: dict[str, Any] = {}
        routes = {path: CachedRoute(name="site", ttl=60, **options)}
        self.app = ResponseCacheMiddleware(self._call, routes=routes, tunables=Tunables(), **middleware)

    async def _call(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"].update(self.lifespan)
            return
        self.calls += 1
        status, headers, body = self.respond(scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def start(self, **state: Any) -> None:
        self.lifespan = state
        self.state: dict[str, Any] = {}
        await self.app({"type": "lifespan", "state": self.state}, _nothing, _drop)

    async def get(self, headers: Pairs = MINE, *, path: str = "/data", **more: Any) -> "Got":
        got = Got()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "server": ("10.0.0.1", 8000),
            "client": ("203.0.113.9", 4711),
            "headers": list(headers),
            **more,
        }
        await self.app(scope, _nothing, got.send)
        return got


class Got:
    status = 0
    body = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message.get("body", b"")

    @property
    def hit(self) -> bool:
        return b"hit" in self.headers.get(b"cache-status", b"") or b"collapsed" in self.headers.get(
            b"cache-status", b""
        )


async def _nothing() -> Any:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _drop(_: Any) -> None:
    pass


async def test_a_route_is_shown_nothing_of_one_client() -> None:
    shown: list[dict[str, Any]] = []

    def respond(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
        shown.append(scope)
        return 200, [], b"same"

    site = Site(respond)
    extensions = {"http.response.pathsend": {}, "http.response.trailers": {}}
    await site.get(THEIRS, query_string=b"evil=1", extensions=extensions, http_version="1.0", method="HEAD")
    assert (await site.get()).hit
    text = repr(shown[0])
    for secret in ("other.example", "two", "evil", "203.0.113.9", "10.0.0.1", "pathsend", "1.0'", "HEAD"):
        assert secret not in text, secret


CREDENTIALS = [
    *[
        "x-cas-ticket",
        "x-workspace-id",
        "x-partner",
        "x-on-behalf-of",
        "x-client-verify",
        "x-owner",
        "x-realm",
        "x-admin",
    ],
    *["ocp-apim-subscription-id", "x-license", "x-visitor-id", "X_Tenant_Id", "x-merchant-id", "x-permissions"],
    "authorization",
    "cookie",
    "x-api-key",
    "x-apikey",
    "api-key",
    "apikey",
    "x_api_key",
    "X-API-Key",
    "proxy-authorization",
    "proxy-connection",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-forwarded-client-cert",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-token",
    "x-remote-user",
    "remote-user",
    "x_remote_user",
    "x-amzn-oidc-data",
    "x-amzn-oidc-identity",
    "x-amzn-oidc-accesstoken",
    "cf-access-jwt-assertion",
    "cf-access-authenticated-user-email",
    "x-goog-authenticated-user-email",
    "x-goog-iap-jwt-assertion",
    "x-ms-client-principal",
    "x-ms-client-principal-id",
    "x-ms-token-aad-access-token",
    "tailscale-user-login",
    "x-webauth-user",
    "x-authentik-username",
    "x-pomerium-jwt-assertion",
    "x-consumer-username",
    "x-userinfo",
    "x-access-token",
    "x-csrf-token",
    "x-session-id",
    "x-jwt",
    "private-token",
    "x-tenant-id",
    "x-account-id",
    "x-client-cert",
    "ssl-client-verify",
    "x-ssl-client-dn",
    "x-hasura-role",
    "ocp-apim-subscription-key",
    "dpop",
    "x-secret",
    "x-password",
    "from",
    "x-user-id",
    "x-username",
    "x-identity",
    "x-real-user",
    "x-shibboleth-session",
]


@pytest.mark.parametrize("name", CREDENTIALS)
async def test_credentials_bypass_the_cache(name: str) -> None:
    site = Site(headers_of)
    for secret in (b"ada", b"bob", b"ada"):
        got = await site.get([*MINE, (name.encode(), secret)])
        assert (secret in got.body, got.hit) == (True, False)
    assert (await site.get()).body == b""
    assert b"ada" not in (await site.get()).body


@pytest.mark.parametrize(
    "name", [b"api_key", b"access_token", b"Token", b"%74oken", b"X-Amz-Signature", b"sid", b"user"]
)
async def test_a_credential_in_an_undeclared_parameter_bypasses_too(name: bytes) -> None:
    site = Site(lambda scope: (200, [], scope["query_string"]), query=("page",))
    for secret in (b"ada", b"bob", b"ada"):
        got = await site.get(query_string=b"page=1&" + name + b"=" + secret)
        assert (secret in got.body, got.hit) == (True, False)
    assert (await site.get(query_string=b"page=1")).body == b"page=1"
    assert (await site.get(query_string=b"page=1&utm_source=x&_=1&key%ff=")).body == b"page=1"
    site = Site(lambda scope: (200, [], scope["query_string"]), query=("token",))
    assert [(await site.get(query_string=b"token=" + value)).body for value in (b"a", b"b", b"a")] == [
        *[b"token=a", b"token=b", b"token=a"]
    ]
    assert site.calls == 2


@pytest.mark.parametrize(
    "name",
    [
        "accept",
        "user-agent",
        "accept-encoding",
        "referer",
        "sec-fetch-user",
        "sec-ch-ua-platform",
        "x-request-id",
        "x-forwarded-for",
        "x-real-ip",
        "traceparent",
        "range",
        "if-range",
        "x-anything",
        "te",
        "cache-control",
    ],
)
async def test_ordinary_headers_neither_bypass_nor_reach_the_route(name: str) -> None:
    site = Site(headers_of)
    first = await site.get([*MINE, (name.encode(), b"no-cache")])
    second = await site.get([*MINE, (name.encode(), b"max-age=0")])
    assert (first.body, second.body, second.hit, site.calls) == (b"", b"", True, 1)


async def test_a_declared_list_bypasses_too() -> None:
    site = Site(headers_of, bypass=("X-Shop", "User-Agent"))
    assert b"x-shop=a" in (await site.get([(b"x-shop", b"a")])).body
    assert b"x-shop=b" in (await site.get([(b"X-SHOP".lower(), b"b")])).body
    assert b"one" in (await site.get(MINE)).body
    assert (await site.get([(b"host", b"h")])).body == b""


@pytest.mark.parametrize(
    "how", ["body", "upper", "header", "json", "gzip", "base64", "jwt", "utf-16", "hex", "first label"]
)
async def test_links_to_the_host_of_a_request_are_for_its_client_alone(how: str) -> None:
    def respond(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
        host = dict(scope["headers"])[b"host"].decode()
        link = f"https://{host}/users/1"
        return {
            "body": lambda: (200, [], link.encode()),
            "upper": lambda: (200, [], link.upper().encode()),
            "header": lambda: (200, [(b"link", f"<{link}>".encode())], b""),
            "json": lambda: (200, [], json.dumps({"a": link}).replace("/", "\\/").encode()),
            "gzip": lambda: (200, [(b"content-encoding", b"gzip")], gzip.compress(link.encode())),
            "base64": lambda: (200, [], base64.b64encode(b"x" + link.encode())),
            "jwt": lambda: (200, [], base64.urlsafe_b64encode(json.dumps({"iss": link}).encode())),
            "utf-16": lambda: (200, [], link.encode("utf-16")),
            "hex": lambda: (200, [], link.encode().hex().encode()),
            "first label": lambda: (200, [], host.split(".")[0].encode()),
        }[how]()

    site = Site(respond)
    for host in (b"other.example", b"api.example", b"other.example"):
        scope = {"headers": [(b"host", host)]}
        got = await site.get([(b"host", host)])
        assert (got.status, got.hit) == (200, False)
        assert (
            b"".join([*got.headers.values(), got.body])
            == b"".join([value for _, value in respond(scope)[1]] + [respond(scope)[2]])
            or how == "gzip"
        )
    assert site.calls == 4  # the first was asked once more, and the route remembered


async def test_links_are_cached_with_the_host_of_a_setting() -> None:
    def respond(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
        return 200, [], dict(scope["headers"])[b"host"] + repr(scope["server"]).encode()

    site = Site(respond, host="api.example:8443")
    bodies = {(await site.get(headers)).body for headers in (THEIRS, MINE)}
    assert bodies == {b"api.example:8443('api.example', 8443)"}
    assert site.calls == 1


@pytest.mark.parametrize("coding", [b"br", b"zstd", b"gzip, br", b"gzip"])
async def test_what_cannot_be_looked_into_is_not_cached(coding: bytes) -> None:
    site = Site(lambda _: (200, [(b"content-encoding", coding)], b"not really"))
    assert not any([(await site.get()).hit for _ in range(3)])


async def test_a_declared_host_has_responses_of_its_own() -> None:
    site = Site(lambda scope: (200, [], dict(scope["headers"])[b"host"]), headers=("Host",))
    bodies = [(await site.get([(b"host", host)])).body for host in (b"a", b"b", b"a")]
    assert (bodies, site.calls) == ([b"a", b"b", b"a"], 2)


async def test_the_address_and_the_scheme_of_a_client_are_its_own() -> None:
    def respond(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
        return 200, [], f"{scope['client'][0]} {scope['scheme']}".encode()

    site = Site(respond)
    for address, scheme in (("192.0.2.1", "http"), ("192.0.2.2", "https"), ("192.0.2.3", "http")):
        got = await site.get(client=(address, 1), scheme=scheme)
        assert got.body == f"{address} {scheme}".encode()


async def test_what_needs_hidden_headers_is_answered_with_them() -> None:
    def respond(scope: dict[str, Any]) -> tuple[int, Pairs, bytes]:
        shop = dict(scope["headers"]).get(b"x-shop")
        return (200, [], shop) if shop else (422, [], b"no shop")

    site = Site(respond)
    bodies = [(await site.get([(b"x-shop", shop)])).body for shop in (b"one", b"two", b"one")]
    assert bodies == [b"one", b"two", b"one"]
    assert (await site.get()).status == 422


@pytest.mark.parametrize("key", ["user", "auth", "session", "tenant", "identity"])
async def test_what_middleware_in_front_says_about_a_client_bypasses(key: str) -> None:
    site = Site(lambda scope: (200, [], repr(scope.get(key)).encode()))
    await site.get()
    for value in ("ada", "bob"):
        got = await site.get(**{key: value})
        assert (got.body, got.hit) == (repr(value).encode(), False)
    assert (await site.get()).body == b"None"


async def test_state_of_one_request_bypasses_and_state_of_the_lifespan_does_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    site = Site(lambda scope: (200, [], repr(sorted(scope["state"].items())).encode()))
    await site.start(pool="pool")
    usual = {**site.state, "request_id": "r"}
    assert not (await site.get(state=dict(usual))).hit
    assert (await site.get(state=dict(usual))).hit
    for user in ("ada", "bob"):
        got = await site.get(state={**usual, "user": user})
        assert (user.encode() in got.body, got.hit) == (True, False)
    assert b"other" in (await site.get(state={"pool": "other", "request_id": "r", "x": 1})).body
    got = await site.get(state={**usual, "user": None})
    assert b"ada" not in got.body


@pytest.mark.parametrize(
    "state",
    [
        pytest.param({"pool": "pool", "tenant": "ada"}, id="an entry in place of the usual one"),
        pytest.param({"pool": "of ada", "request_id": "r"}, id="another object under a name of the lifespan's"),
        pytest.param({"tenant": "ada", "user": None}, id="a state of its own"),
    ],
)
async def test_a_state_with_as_many_entries_as_usual_is_looked_at_too(state: dict[str, Any]) -> None:
    site = Site(lambda scope: (200, [], repr(sorted(scope["state"].items())).encode()))
    await site.start(pool="pool")
    for _ in range(3):
        await site.get(state={"pool": site.state["pool"], "request_id": "r"})
    assert site.calls == 1
    got = await site.get(state=state)
    assert (b"ada" in got.body, got.hit) == (True, False)


async def test_a_scope_with_as_many_entries_as_usual_is_looked_at_too() -> None:
    site = Site(lambda scope: (200, [], repr(scope.get("tenant")).encode()))
    for _ in range(3):
        await site.get(path_template="/data")
    assert site.calls == 1
    assert (await site.get(tenant="ada")).body == b"'ada'"


async def test_the_age_goes_on_from_that_of_a_cache_behind_the_route() -> None:
    site = Site(lambda _: (200, [(b"age", b"100")], b"of another service"))
    assert [(await site.get()).headers[b"age"] for _ in range(2)] == [b"100", b"100"]
    site = Site(lambda _: (200, [(b"age", b"soon")], b"nonsense"))
    assert [(await site.get()).headers[b"age"] for _ in range(2)] == [b"0", b"0"]


async def test_an_expiry_to_come_is_no_obstacle() -> None:
    site = Site(lambda _: (200, [(b"expires", b"Thu, 01 Jan 2099 00:00:00 GMT")], b"body"))
    await site.get()
    assert (await site.get()).hit


async def test_state_that_is_the_same_for_all_can_be_named() -> None:
    site = Site(lambda scope: (200, [], scope["state"]["catalogue"].encode()), shared=("catalogue",))
    bodies = [(await site.get(state={"catalogue": "one"})).body for _ in range(2)]
    assert (bodies, site.calls) == ([b"one", b"one"], 1)


async def test_a_client_certificate_bypasses() -> None:
    site = Site(lambda scope: (200, [], repr(scope["extensions"]).encode()))
    for name in ("CN=ada", "CN=bob"):
        assert name.encode() in (await site.get(extensions={"tls": {"client_cert_name": name}})).body
    assert not (await site.get(extensions={"tls": {"client_cert_name": None}})).hit
    assert (await site.get(extensions={"tls": {"client_cert_name": None}})).hit


async def test_an_id_of_a_request_is_not_repeated_to_others() -> None:
    site = Site(lambda scope: (200, [], scope["state"]["request_id"].encode()))
    for request_id in ("a" * 32, "b" * 32):
        assert (await site.get(state={"request_id": request_id})).body == request_id.encode()


TENANT: ContextVar[str] = ContextVar("TENANT", default="nobody")


async def test_context_variables_of_middleware_in_front_are_hidden() -> None:
    site = Site(lambda _: (200, [], TENANT.get().encode()))
    token = TENANT.set("ada")
    try:
        assert (await site.get()).body == b"nobody"
    finally:
        TENANT.reset(token)


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


@pytest.mark.parametrize("cookie", [b"theme=dark", b"theme=dark; session=1"])
async def test_cookies_can_be_ignored(cookie: bytes) -> None:
    site = Site(headers_of, ignore=("cookie",))
    await site.get()
    got = await site.get([(b"cookie", cookie)])
    assert (got.body, got.hit) == (b"", True)


async def test_a_cookie_can_be_part_of_the_key() -> None:
    site = Site(headers_of, cookies=("theme",), ignore=("Cookie",))
    cookies = [b"theme=dark; session=1", b"session=2;theme=dark", b"theme=light", b"session=3", b"xtheme=dark"]
    bodies = [(await site.get([(b"cookie", cookie)])).body for cookie in cookies]
    assert bodies == [b"cookie=theme=dark", b"cookie=theme=dark", b"cookie=theme=light", b"", b""]
    assert site.calls == 3


async def test_cookies_beside_the_declared_ones_bypass() -> None:
    site = Site(headers_of, cookies=("theme",))
    assert (await site.get([(b"cookie", b"theme=dark")])).body == b"cookie=theme=dark"
    got = await site.get([(b"cookie", b"theme=dark; session=1")])
    assert (got.body, got.hit) == (b"cookie=theme=dark; session=1", False)
    assert (await site.get([(b"cookie", b"theme=dark")])).hit


async def test_the_order_of_repeated_headers_counts() -> None:
    site = Site(headers_of, headers=("x-lang",))
    orders = [[(b"x-lang", b"a"), (b"X-Lang", b"b")], [(b"x-lang", b"b"), (b"x-lang", b"a")]]
    assert [(await site.get(order)).body for order in orders] == [b"x-lang=a|x-lang=b", b"x-lang=b|x-lang=a"]


async def test_no_cookie_is_ever_given_to_two() -> None:
    numbers = iter(range(10))

    def respond(_: Any) -> tuple[int, Pairs, bytes]:
        return 200, [(b"set-cookie", b"sid=%d" % next(numbers))], b""

    site = Site(respond, headers=("cookie",))
    cookies = [(await site.get([(b"cookie", b"lang=de")])).headers[b"set-cookie"] for _ in range(3)]
    assert len(set(cookies)) == 3


async def test_a_failure_gives_nobody_a_cookie() -> None:
    site = Site(lambda _: (503, [(b"set-cookie", b"sid=1")], b"sorry"))
    got = await site.get()
    assert (got.status, got.body, got.headers) == (503, b"sorry", {b"content-length": b"5"})


@pytest.mark.parametrize(
    "header",
    [
        (b"cache-control", b"max-age=0"),
        (b"cache-control", b"s-maxage=0, max-age=60"),
        (b"Cache-Control", b'public, no-cache="x"'),
        (b"cache-control", b"max-age=soon"),
        (b"expires", b"0"),
        (b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (b"expires", b"never"),
        (b"content-security-policy", b"script-src 'nonce-r4nd0m'"),
        (b"pragma", b"no-cache"),
        (b"vary", b"x-anything"),
        (b"content-type", b"text/event-stream"),
        (b"content-length", b"3"),
        (b"content-range", b"bytes 0-1/4"),
    ],
)
async def test_what_must_not_be_used_again_is_not(header: tuple[bytes, bytes]) -> None:
    site = Site(lambda _: (200, [header], b"body"))
    assert not any([(await site.get()).hit for _ in range(3)])


@pytest.mark.parametrize("name", [b"cookie", b"authorization", b"accept-encoding", b"origin"])
async def test_a_response_may_vary_by_what_no_cached_response_is_for(name: bytes) -> None:
    site = Site(lambda _: (200, [(b"vary", name)], b"body"))
    await site.get()
    assert (await site.get()).hit


@pytest.mark.parametrize("name", [b"if-match", b"if-unmodified-since", b"content-length", b"transfer-encoding"])
async def test_conditions_and_bodies_bypass(name: bytes) -> None:
    site = Site(headers_of)
    await site.get()
    assert (await site.get([(name, b"1")])).body == name + b"=1"


async def test_no_store_of_a_request_bypasses_and_its_other_wishes_do_not() -> None:
    site = Site(headers_of)
    await site.get()
    for wish in (b"no-cache", b"max-age=0", b"only-if-cached"):
        assert (await site.get([(b"cache-control", wish)])).hit
    assert not (await site.get([(b"cache-control", b"max-age=0, No-Store")])).hit


class Cors:
    """As Starlette's: allows some origins by name, tells the others nothing."""

    def __init__(self, app: Any, allowed: frozenset[bytes], varies: bool) -> None:
        self.app, self.allowed, self.varies = app, allowed, varies

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        origin = dict(scope["headers"]).get(b"origin")

        async def add(message: Any) -> None:
            if message["type"] == "http.response.start":
                allowed = [(b"access-control-allow-origin", origin)] if origin in self.allowed else []
                vary = [(b"vary", b"Origin")] if allowed or self.varies else []
                message = {**message, "headers": [*message["headers"], *allowed, *vary]}
            await send(message)

        await self.app(scope, receive, add)


@pytest.mark.parametrize("varies", [True, False])
@pytest.mark.parametrize("behind", [True, False])
async def test_cors_in_front_and_behind(behind: bool, varies: bool) -> None:
    site = Site(lambda _: (200, [], b"body"))
    allowed = frozenset({b"https://a.example", b"https://b.example"})
    if behind:
        site.app._app = Cors(site.app._app, allowed, varies)
    else:
        site.app = Cors(site.app, allowed, varies)  # type: ignore[assignment]
    origins = [b"https://a.example", b"https://b.example", b"https://evil.example", None]
    for origin in origins * 3:
        got = await site.get([*MINE, *([(b"origin", origin)] if origin else [])])
        assert (got.status, got.body) == (200, b"body")
        assert got.headers.get(b"access-control-allow-origin") == (origin if origin in allowed else None)
    assert got.hit
    assert site.calls <= 2 * len(origins)


async def test_made_up_origins_fill_nothing() -> None:
    site = Site(lambda scope: (200, [(b"vary", b"origin")], dict(scope["headers"]).get(b"origin", b"")))
    for number in range(100):
        origin = b"https://%d.example" % number
        assert (await site.get([*MINE, (b"origin", origin)])).body == origin
    assert len(site.app._served["/data"].cache._entries) == 64


@pytest.mark.parametrize(
    "message",
    [
        {"type": "http.response.pathsend", "path": "/etc/hostname"},
        {"type": "http.response.zerocopysend", "file": 1},
        {"type": "http.response.start", "status": 200, "headers": []},
    ],
)
async def test_odd_messages_are_not_recorded(message: dict[str, Any]) -> None:
    site = Site()

    async def odd(scope: Any, receive: Any, send: Any) -> None:
        site.calls += 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send(message)
        await send({"type": "http.response.body", "body": b"x"})

    site.app._app = odd
    await site.get()
    await site.get()
    assert site.calls == 3  # asked on behalf of all once, then each by itself


async def test_an_endless_stream_reaches_its_client() -> None:
    site = Site()
    arrived = asyncio.Event()

    async def stream(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
        while True:
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            await asyncio.sleep(0)

    class Reader(Got):
        async def send(self, message: Any) -> None:
            await super().send(message)
            if self.body:
                arrived.set()

    site.app._app = stream
    reader = Reader()
    scope = {"type": "http", "method": "GET", "path": "/data", "query_string": b"", "headers": []}
    task = asyncio.create_task(site.app(scope, _nothing, reader.send))
    async with asyncio.timeout(10):
        await arrived.wait()
    task.cancel()


async def test_background_work_comes_after_the_response_and_delays_only_its_own_request() -> None:
    site, done, begun = Site(), asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"now"})
        begun.set()
        await done.wait()
        raise LookupError("in the background")

    site.app._app = app
    first = Got()
    scope = {"type": "http", "method": "GET", "path": "/data", "query_string": b"", "headers": []}
    task = asyncio.create_task(site.app(scope, _nothing, first.send))
    async with asyncio.timeout(10):
        await begun.wait()
        assert (await site.get(headers=[])).body == b"now"  # while the first still works
    assert first.body == b"now"
    assert not task.done()
    done.set()
    with pytest.raises(LookupError):
        await task
    assert (await site.get(headers=[])).hit


@pytest.mark.parametrize(
    ("respond", "reason"),
    [
        (lambda _: (200, [(b"set-cookie", b"a=b")], b""), "it sets a cookie"),
        (lambda _: (200, [(b"vary", b"*")], b""), "it varies by \\*"),
        (lambda _: (404, [], b""), "its status is 404"),
        (
            lambda scope: (200, [], dict(scope["headers"])[b"host"]),
            "it contains the Host of its request; pass .* host=",
        ),
        (lambda _: (200, [], b"x" * 1_048_577), "it is longer than 1048576 bytes"),
    ],
)
async def test_a_route_that_is_never_cached_says_why_once(
    respond: Respond, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site(respond)
    with caplog.at_level(logging.WARNING, "paceline"):
        for _ in range(5):
            await site.get()
    [record] = caplog.records
    assert record.getMessage().startswith("/data: no response is cached so far: ")
    assert re.search(reason, record.getMessage())


async def test_a_user_in_front_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    site = Site()
    with caplog.at_level(logging.WARNING, "paceline"):
        for _ in range(3):
            await site.get(user="ada")
    [record] = caplog.records
    assert "middleware in front sets user" in record.getMessage()


async def test_a_mounted_application_finds_its_routes() -> None:
    site = Site(headers_of)
    for root in ("/v1", "/v1", "/v2"):
        await site.get(path=f"{root}/data", root_path=root)
    assert site.calls == 2


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
