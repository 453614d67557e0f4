"""URLs that can be loaded, and those that cannot."""

from pathlib import Path

import pytest
from paceline.errors import UsageError
from paceline.load.target import parse_target, read_body


@pytest.mark.parametrize(
    ("url", "host", "port", "first_lines"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1", 8000, b"GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"),
        (
            "http://shop/products?limit=5&after=7",
            "shop",
            80,
            b"GET /products?limit=5&after=7 HTTP/1.1\r\nHost: shop\r\n",
        ),
        ("https://shop/", "shop", 443, b"GET / HTTP/1.1\r\nHost: shop\r\n"),
        ("http://[::1]:8000/", "::1", 8000, b"GET / HTTP/1.1\r\nHost: [::1]:8000\r\n"),
        ("http://shop/@anna?mail=a@b", "shop", 80, b"GET /@anna?mail=a@b HTTP/1.1\r\nHost: shop\r\n"),
    ],
    ids=["no path", "a query", "https", "IPv6", "an @ in the path"],
)
def test_a_url_becomes_an_address_and_a_request(url: str, host: str, port: int, first_lines: bytes) -> None:
    target = parse_target(url)
    assert (target.host, target.port) == (host, port)
    assert target.request.startswith(first_lines)
    assert target.request.endswith(b"\r\n\r\n")
    assert (target.tls is not None) == url.startswith("https")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("127.0.0.1:8000", "write http://HOST:PORT/PATH"),
        ("ftp://shop/", "write http://HOST:PORT/PATH"),
        ("http:///products", "write http://HOST:PORT/PATH"),
        ("http://shop:99999/", "not a number between 1 and 65535"),
        ("http://shop/a b", "percent-encoded"),
        ("http://shop/é", "percent-encoded"),
        ("http://[::1/", "write http://HOST:PORT/PATH"),
    ],
    ids=["no scheme", "another scheme", "no host", "a port too high", "a space", "not ASCII", "an open bracket"],
)
def test_a_url_that_cannot_be_loaded_says_why(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_target(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://anna:hunter2@shop/",
        "https://hunter2@shop:8443/a b",
        "http://:hunter2@shop",
        "http://anna:hunter2@[::1/",
        "http://anna:hunter2@:80/",
        "ftp://anna:hunter2@shop/",
        "//anna:hunter2@shop/",
        "anna:hunter2@shop/",
        "http:/anna:hunter2@shop/",
        "http://anna:a\\hunter2@shop/",
    ],
)
def test_credentials_in_a_url_are_refused_and_not_printed(url: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_target(url)
    assert "-H 'Authorization: " in str(refused.value)
    assert "hunter2" not in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "url", ["http://anna:hunter2/@shop/", "http://anna:hunter2#@shop/", "http://anna:8/hunter2 x@shop/"]
)
def test_what_may_be_a_password_is_not_printed(url: str) -> None:
    with pytest.raises(UsageError, match="address, not shown") as refused:
        parse_target(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("method", "headers", "body", "request_bytes"),
    [
        ("POST", ["Content-Type: application/json"], b"{}",
         b"POST /a HTTP/1.1\r\nHost: shop\r\nUser-Agent: paceline-load\r\n"
         b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"),
        ("DELETE", ["host: other", "Authorization:Bearer x y"], b"",
         b"DELETE /a HTTP/1.1\r\nUser-Agent: paceline-load\r\nhost: other\r\nAuthorization: Bearer x y\r\n"
         b"Content-Length: 0\r\n\r\n"),
        ("GET", ["Cookie: a=1", "Cookie: b=2"], b"",
         b"GET /a HTTP/1.1\r\nHost: shop\r\nUser-Agent: paceline-load\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n"),
    ],
)  # fmt: skip
def test_what_is_behind_a_login_can_be_asked(
    method: str, headers: list[str], body: bytes, request_bytes: bytes
) -> None:
    assert parse_target("http://shop/a", method=method, headers=headers, body=body).request == request_bytes


@pytest.mark.parametrize(
    ("method", "headers", "says"),
    [
        ("HEAD", [], "--method HEAD is no load"),
        ("connect", [], "--method connect is no load"),
        ("GET /", [], "is no method"),
        ("GET", ["no colon"], "write 'NAME: VALUE'"),
        ("GET", ["bad name: x"], "write 'NAME: VALUE'"),
        ("GET", ["X: a\r\nY: b"], "write 'NAME: VALUE'"),
        ("GET", ["X: €"], "characters that a header cannot hold"),
        ("GET", ["content-length: 5"], "content-length is set by what is sent"),
    ],
)
def test_what_cannot_be_sent_is_refused(method: str, headers: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_target("http://shop/a", method=method, headers=headers)


def test_a_body_may_be_a_file(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_bytes(b"\x00{}")
    assert read_body(f"@{tmp_path / 'order.json'}") == b"\x00{}"
    assert read_body("é") == "é".encode()
    with pytest.raises(UsageError, match=r"cannot read the body from .*nowhere"):
        read_body(f"@{tmp_path / 'nowhere'}")
