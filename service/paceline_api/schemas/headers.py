"""Headers that clients should look at, for the description of responses."""

from typing import Any, Final

LOCATION: Final[dict[int | str, dict[str, Any]]] = {
    201: {"headers": {"Location": {"description": "Where it is now.", "schema": {"type": "string"}}}}
}
CACHE_HEADERS: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "headers": {
            "Age": {"description": "Seconds since it was computed.", "schema": {"type": "integer", "minimum": 0}},
            "Cache-Status": {"description": "RFC 9211: where it came from.", "schema": {"type": "string"}},
        }
    }
}
