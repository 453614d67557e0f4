"""A response that may be cached, and its form in Redis."""

from dataclasses import dataclass, field

import orjson

Headers = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """Status 200, without what belongs to a single request."""

    headers: Headers
    body: bytes
    created_at: float
    """Seconds since the epoch when the application was asked."""
    _etag: bytes | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        etag = next((value for name, value in self.headers if name.lower() == b"etag"), None)
        object.__setattr__(self, "_etag", None if etag is None else etag.removeprefix(b"W/"))

    def matches(self, if_none_match: bytes) -> bool:
        """Whether the client has this response already, by its `ETag` (weak comparison, RFC 9110, 13.1.2)."""
        if self._etag is None:
            return False
        offered = [each.strip().removeprefix(b"W/") for each in if_none_match.split(b",")]
        return self._etag in offered or offered == [b"*"]


class ResponseSerializer:
    """For Redis: a line of JSON with the time and the headers, then the body."""

    def dumps(self, value: CachedResponse, /) -> bytes:
        headers = [[name.decode("latin-1"), content.decode("latin-1")] for name, content in value.headers]
        return orjson.dumps({"createdAt": value.created_at, "headers": headers}) + b"\n" + value.body

    def loads(self, content: bytes, /) -> CachedResponse:
        """The reverse of `dumps`.

        Raises:
            ValueError: another release wrote it.
        """
        line, _, body = content.partition(b"\n")
        try:
            head = orjson.loads(line)
            pairs = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in head["headers"])
            return CachedResponse(pairs, body, float(head["createdAt"]))
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise ValueError("no cached response of this release") from error


def words(headers: Headers, wanted: bytes) -> list[bytes]:
    """The comma-separated words of a header, in lower case."""
    values = (value for name, value in headers if name.lower() == wanted)
    return [word.strip().lower() for value in values for word in value.split(b",") if word.strip()]
