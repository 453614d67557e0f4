"""A dashboard in Flask: blocking calls, one after another, a session of kept connections in each thread."""

import http.client
import json
import os
import threading
from typing import Any
from urllib.parse import urlsplit

from flask import Flask

PARTS = ("users", "orders", "stock")
HOST = urlsplit(os.environ["BENCH_UPSTREAM"]).netloc
kept = threading.local()
app = Flask(__name__)


@app.get("/")
def ready() -> dict[str, str]:
    return {}


@app.get("/dashboard")
def dashboard() -> dict[str, Any]:
    return {part: _fetch(part) for part in PARTS}


def _fetch(part: str) -> Any:
    """With the standard library's client: cheaper than any other, so the peer is at its best."""
    if hasattr(kept, "connection"):
        try:
            return _ask(part)
        except (OSError, http.client.HTTPException):  # the upstream closes what was idle for long
            kept.connection.close()
    kept.connection = http.client.HTTPConnection(HOST, timeout=10)
    return _ask(part)


def _ask(part: str) -> Any:
    kept.connection.request("GET", f"/{part}")
    return json.loads(kept.connection.getresponse().read())
