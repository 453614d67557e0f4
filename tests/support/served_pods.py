"""Pods that a bare API server cannot run: their `/state` on addresses of loopback, and a file that follows the document
as kubelet would have it."""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from modelled_fleet import ModelPod, Service

PORT = 9090
_numbers = count(1)


class ServedPod:
    """One pod. `document` gives the bytes of the tuning document as stored now; None: there is none."""

    def __init__(self, document: Callable[[], bytes | None]) -> None:
        number = next(_numbers)
        self.address = f"127.77.{number // 250}.{1 + number % 250}"
        self.pod: ModelPod | None = None
        self.applies = True
        """Whether it follows the document; a pod that does not is one whose transactions last."""
        self._document = document
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = json.dumps(served.state()).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer((self.address, PORT), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def state(self) -> dict[str, object]:
        pod = self.pod
        assert pod is not None
        content = self._document()
        if content is not None and self.applies:
            pod.adopt(json.loads(content), content)
        pod.uptime += 1
        return pod.state(Service())

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
