"""What a cached route sees of a request: what its key holds, and nothing of one client."""

import base64
import gzip
import json
from contextvars import ContextVar
from typing import Any

import pytest
from cached_site import MINE, THEIRS, Pairs, Site

pytestmark = pytest.mark.invariant


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
