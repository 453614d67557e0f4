"""Stand-ins for what is about one client (Host, address), which can be recognized where a response repeats them.

A route that builds absolute links from the Host header puts the placeholder into its response. Such a response is not
cached. The names are random, so nobody can put them into a response on purpose.
"""

import secrets
import zlib
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final

from paceline.middleware.response_cache.response import Headers, words

_MOST_DECODED: Final = 16 * 1024 * 1024
_SHORTEST: Final = 16
"""A shorter id could be part of any text."""
_GZIP_OR_ZLIB: Final = 47


class Placeholders:
    """One set per process."""

    def __init__(self) -> None:
        host = "p" + secrets.token_hex(8)
        groups = [f"{secrets.choice('123456789abcdef')}{secrets.randbits(12):03x}" for _ in range(7)]
        self.host = f"{host}.{host}.invalid"
        self.client = ":".join([f"fd{secrets.randbits(8):02x}", *groups])
        self._signs = {"the Host of its request": _forms(host), "the client's address": _forms(self.client)}

    def found_in(self, headers: Headers, body: bytes, ids: Sequence[str]) -> str | None:
        """What a response says of the request that it was made for, or why that cannot be told; None: nothing.

        Args:
            ids: of the request and its trace.
        """
        decoded = _decoded(headers, body)
        if decoded is None:
            return "its Content-Encoding cannot be looked into; compress in front of the cache"
        texts = [decoded, *(part for header in headers for part in header)]
        if b"\0" in decoded:
            texts.append(decoded.replace(b"\0", b""))  # UTF-16 and UTF-32
        lowered = [text.lower() for text in texts]
        own = tuple(each.lower().encode("latin-1", "replace") for each in ids if len(each) >= _SHORTEST)
        signs = {**self._signs, "the id of its request": (own, ())}
        for what, (in_any_case, exact) in signs.items():
            if _any(in_any_case, lowered) or _any(exact, texts):
                return f"it contains {what}"
        return None


def _any(signs: Iterable[bytes], texts: list[bytes]) -> bool:
    return any(sign in text for sign in signs for text in texts)


def _forms(text: str) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """How a text may appear: in any case; exactly (the middle of its base64, for each way it may be aligned)."""
    plain = text.encode()
    escaped = plain.replace(b":", b"%3a")
    middles = []
    for offset in range(3):
        encoded = b64encode(b"\0" * offset + plain)
        middles.append(encoded[4 if offset else 0 : len(encoded) - 4])
    return (plain, escaped, plain.hex().encode()), tuple(middles)


def _decoded(headers: Headers, body: bytes) -> bytes | None:
    codings = [coding for coding in words(headers, b"content-encoding") if coding != b"identity"]
    if not codings:
        return body
    if codings not in ([b"gzip"], [b"x-gzip"], [b"deflate"]):
        return None
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        decoded = decoder.decompress(body, _MOST_DECODED)
    except zlib.error:
        return None
    return None if decoder.unconsumed_tail or decoder.unused_data or not decoder.eof else decoded
