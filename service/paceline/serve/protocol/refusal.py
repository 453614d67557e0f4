"""What a client is told whose request cannot be served: a short JSON response, after which the connection closes."""

from collections.abc import Iterable
from http import HTTPStatus

import orjson


class Refused(Exception):
    """A request that goes no further.

    Args:
        status: of the response.
        error: the reason for programs, a CamelCase word.
        detail: the reason for people.
    """

    def __init__(self, status: HTTPStatus, error: str, detail: str) -> None:
        super().__init__(f"{status} {error}: {detail}")
        self.status = status
        self.error = error
        self.detail = detail

    def response(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole response as it is sent; it has no request id, since the request was not read to its end."""
        body = orjson.dumps({"error": self.error, "detail": self.detail})
        headers = [
            *((name, value) for name, value in default_headers if name != b"connection"),
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        lines = b"".join(b"%b: %b\r\n" % header for header in headers)
        return b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (self.status, self.status.phrase.encode(), lines, body)


def malformed(detail: str) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "BadRequest", detail)


def head_too_large(detail: str) -> Refused:
    return Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "HeadTooLarge", detail)


def too_slow(detail: str) -> Refused:
    return Refused(HTTPStatus.REQUEST_TIMEOUT, "RequestTimeout", detail)
