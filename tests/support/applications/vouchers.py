"""An application that draws from a generator made while it loads. VOUCHERS_SAFE hands it to `tune.fork_safe`."""

import logging.config
import os
import random
from typing import Any

from paceline import tune

codes = random.Random()
if "VOUCHERS_SAFE" in os.environ:
    codes = tune.fork_safe(codes)
if "VOUCHERS_SILENT" in os.environ:
    logging.config.dictConfig({"version": 1, "root": {"level": "CRITICAL"}, "disable_existing_loggers": True})


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    body = f"{codes.getrandbits(64)}".encode()
    headers = [(b"content-length", b"%d" % len(body)), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})
