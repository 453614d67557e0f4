"""Who the client is, by what proxies say; and that nobody else can say it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paceline.middleware import TrustedProxiesMiddleware
from paceline.middleware.forwarded import by_forwarded, by_x_forwarded, client_of
from paceline.trusted_peers import TrustedPeers

INGRESS = "10.0.0.1"
TRUSTED = TrustedPeers("10.0.0.0/8,2001:db8:1::/48")


async def seen(*headers: tuple[str, str], peer: str | None = INGRESS, **options: Any) -> dict[str, Any]:
    """The scope that the application gets."""
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)

    scope = {
        "type": options.pop("kind", "http"),
        "scheme": options.pop("scheme", "http"),
        "client": (peer, 4711) if peer else None,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
    }
    await TrustedProxiesMiddleware(app, trusted=TRUSTED, **options)(scope, None, None)  # type: ignore[arg-type]
    return scopes[0]


@pytest.mark.parametrize(
    ("chain", "client"),
    [
        pytest.param("9.9.9.9", "9.9.9.9", id="one proxy"),
        pytest.param("1.1.1.1, 9.9.9.9", "9.9.9.9", id="what the client wrote itself does not count"),
        pytest.param("1.1.1.1, 9.9.9.9, 10.2.3.4", "9.9.9.9", id="two proxies"),
        pytest.param("10.9.9.9, 10.2.3.4", "10.9.9.9", id="a client within the trusted network"),
        pytest.param("9.9.9.9:1234", "9.9.9.9", id="with a port"),
        pytest.param("[2001:db8::7]:1234", "2001:db8::7", id="IPv6 with a port"),
        pytest.param("2001:DB8::7", "2001:db8::7", id="IPv6"),
        pytest.param("1.1.1.1, ::ffff:9.9.9.9, ::ffff:10.2.3.4", "9.9.9.9", id="IPv4 written as IPv6"),
        pytest.param("1.1.1.1, [::ffff:9.9.9.9]:80", "9.9.9.9", id="IPv4 written as IPv6 with a port"),
        pytest.param("unknown, 10.2.3.4", "10.2.3.4", id="a proxy that does not tell"),
        pytest.param("<script>", INGRESS, id="no address"),
        pytest.param("", INGRESS, id="nothing"),
    ],
)
async def test_the_chain_is_read_from_its_end(chain: str, client: str) -> None:
    assert (await seen(("x-forwarded-for", chain)))["client"][0] == client


async def test_a_header_that_comes_in_parts_is_one_list() -> None:
    scope = await seen(("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "9.9.9.9"))
    assert scope["client"] == ("9.9.9.9", 0)


@pytest.mark.parametrize("peer", ["9.9.9.9", None, "testclient"])
@pytest.mark.parametrize("header", ["x-forwarded", "forwarded"])
async def test_nobody_else_is_believed(peer: str | None, header: str) -> None:
    said = (("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "https"), ("forwarded", "for=1.1.1.1;proto=https"))
    scope = await seen(*said, peer=peer, header=header)
    assert scope["client"] == ((peer, 4711) if peer else None)
    assert scope["scheme"] == "http"
    assert "paceline.trusted_peer" not in scope


@pytest.mark.parametrize(
    ("header", "client"), [("x-forwarded", INGRESS), ("forwarded", "1.1.1.1")], ids=["not asked for", "asked for"]
)
async def test_one_family_of_headers_is_believed(header: str, client: str) -> None:
    assert (await seen(("forwarded", "for=1.1.1.1"), header=header))["client"][0] == client
    other = await seen(("x-forwarded-for", "1.1.1.1"), header="forwarded")
    assert other["client"] == (INGRESS, 4711)


@pytest.mark.parametrize(
    ("said", "client", "scheme"),
    [
        pytest.param("for=9.9.9.9;proto=https", "9.9.9.9", "https", id="as in the specification"),
        pytest.param("For=9.9.9.9; Proto=HTTPS;by=10.0.0.1", "9.9.9.9", "https", id="in any case"),
        pytest.param('for="[2001:db8::7]:4711"', "2001:db8::7", "http", id="quoted IPv6 with a port"),
        pytest.param(
            "for=1.1.1.1;proto=http, for=9.9.9.9;proto=https,for=10.2.3.4;proto=http", "9.9.9.9", "https", id="a chain"
        ),
        pytest.param('for="1.1.1.1, 2.2.2.2", for=9.9.9.9', "9.9.9.9", "http", id="a comma within quotes"),
        pytest.param("for=_hidden, for=10.2.3.4", "10.2.3.4", "http", id="a hidden client"),
        pytest.param("for", INGRESS, "http", id="nonsense"),
    ],
)
async def test_the_standard_header(said: str, client: str, scheme: str) -> None:
    scope = await seen(("forwarded", said), header="forwarded")
    assert (scope["client"][0], scope["scheme"]) == (client, scheme)


@pytest.mark.parametrize(
    ("kind", "said", "scheme"),
    [
        ("http", "https", "https"),
        ("http", "http, https", "https"),
        ("http", "gopher", "http"),
        ("websocket", "https", "wss"),
        ("websocket", "wss", "wss"),
        ("websocket", "http", "ws"),
    ],
)
async def test_the_scheme_is_the_one_that_the_client_spoke(kind: str, said: str, scheme: str) -> None:
    before = "http" if kind == "http" else "ws"
    scope = await seen(("x-forwarded-for", "9.9.9.9"), ("x-forwarded-proto", said), kind=kind, scheme=before)
    assert scope["scheme"] == scheme
    assert (await seen(("x-forwarded-proto", said), kind=kind, scheme=before))["scheme"] == scheme


async def test_other_scopes_pass_untouched() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert scope == {"type": "lifespan"}

    await TrustedProxiesMiddleware(app, trusted=TRUSTED)({"type": "lifespan"}, None, None)  # type: ignore[arg-type]


@given(st.binary(max_size=60))
def test_whatever_is_sent_nothing_fails(value: bytes) -> None:
    client_of(by_forwarded([(b"forwarded", value)]), TRUSTED)
    client_of(by_x_forwarded([(b"x-forwarded-for", value), (b"x-forwarded-proto", value)]), TRUSTED)
