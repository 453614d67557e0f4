"""An application whose logging configuration starts a thread that writes the log, as Litestar's does."""

import logging
import logging.handlers
import os
import queue
import sys
from typing import Any

_queue: queue.SimpleQueue[logging.LogRecord] = queue.SimpleQueue()
_listener = logging.handlers.QueueListener(_queue, logging.StreamHandler(sys.stderr))
_listener.start()
_logger = logging.getLogger("shop")
_logger.addHandler(logging.handlers.QueueHandler(_queue))
_logger.propagate = False


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    assert scope["type"] == "http"
    _logger.warning("a request in %d of %d", os.getpid(), os.getppid())
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
