"""Which origins a cached route cares about. The Origin header joins the key where CORS middleware stands behind the
cache, and leaves no trace where it stands in front."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from paceline.middleware.response_cache.response import Headers, words
from paceline.middleware.response_cache.sharing import Refusal

MOST_ORIGINS: Final = 64
"""Origins with responses of their own, per route and process: anybody can make up more."""
_FORGET_SECONDS: Final = 3600.0
_MOST_PLAIN: Final = 1024
_MOST_REMEMBERED_BYTES: Final = 1024


class Origins:
    """What one route's responses showed."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._plain: OrderedDict[tuple[str, bytes], None] = OrderedDict()
        self._own: dict[bytes, float] = {}

    def is_plain(self, path: str, origin: bytes) -> bool:
        """Whether a response for that path did not depend on this origin."""
        return (path, origin) in self._plain

    def judge(self, path: str, origin: bytes, headers: Headers) -> Refusal | None:
        """What to do with a response that was made for an origin; None: cache it for that origin."""
        if not _depends_on_origin(headers):
            if len(path) + len(origin) <= _MOST_REMEMBERED_BYTES:
                self._plain[path, origin] = None
            if len(self._plain) > _MOST_PLAIN:
                self._plain.popitem(last=False)
            return Refusal("it does not depend on its Origin", 0.0)
        if origin not in self._own and len(self._own) >= MOST_ORIGINS:
            latest = self._clock() - _FORGET_SECONDS
            self._own = {one: seen for one, seen in self._own.items() if seen > latest}
            if len(self._own) >= MOST_ORIGINS:
                return Refusal(f"it is for one of more than {MOST_ORIGINS} origins")
        self._own[origin] = self._clock()
        return None


def _depends_on_origin(headers: Headers) -> bool:
    return b"origin" in words(headers, b"vary") or any(
        name.lower().startswith(b"access-control-") for name, _ in headers
    )
