"""Whoever signs in, by whatever header or parameter, gets responses of their own."""

from typing import Any

import pytest
from cached_site import MINE, Pairs, Site, headers_of

pytestmark = pytest.mark.invariant


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


async def test_a_client_certificate_bypasses() -> None:
    site = Site(lambda scope: (200, [], repr(scope["extensions"]).encode()))
    for name in ("CN=ada", "CN=bob"):
        assert name.encode() in (await site.get(extensions={"tls": {"client_cert_name": name}})).body
    assert not (await site.get(extensions={"tls": {"client_cert_name": None}})).hit
    assert (await site.get(extensions={"tls": {"client_cert_name": None}})).hit


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
