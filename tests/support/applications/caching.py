"""An application whose every response comes from a cache, of twenty keys in turn."""

from itertools import cycle
from typing import Any

from paceline import tune

NUMBERS = cycle(range(20))


@tune.cache(name="answers", ttl=1, key="answers:{number}")
async def load_answer(number: int) -> bytes:
    return b"%d" % number


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    body = await load_answer(next(NUMBERS))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
