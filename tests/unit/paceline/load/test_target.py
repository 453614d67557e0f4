"""URLs that can be loaded, and those that cannot."""

import pytest
from paceline.errors import UsageError
from paceline.load.target import parse_target


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
        ("http://user:secret@shop/", "shop", 80, b"GET / HTTP/1.1\r\nHost: shop\r\n"),
    ],
    ids=["no path", "a query", "https", "IPv6", "credentials stay out of the Host header"],
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
    ],
    ids=["no scheme", "another scheme", "no host", "a port too high", "a space", "not ASCII"],
)
def test_a_url_that_cannot_be_loaded_says_why(url: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_target(url)
