"""An application whose import leaves a thread and a connection alive."""

import socket
import threading

from plain import app

__all__ = ["app"]

_listener = socket.create_server(("127.0.0.1", 0))
_connection = socket.create_connection(_listener.getsockname())
threading.Thread(target=threading.Event().wait, name="outbox poller", daemon=True).start()
