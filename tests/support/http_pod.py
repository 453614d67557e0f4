"""A modelled pod behind a real port."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from modelled_fleet import ModelPod, Service, start_values

PROMPTLY = 30.0
"""Half of the interval after which a policy is looked at anyway. An idle machine acks an edit within a second."""


class HttpPod:
    """A modelled pod behind a real port: it reads the document whenever it is asked for its state."""

    def __init__(self, document: Path) -> None:
        self.model = ModelPod("pod", start_values(), start_values())
        self.document = document
        self.answer: bytes | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = outer.state() if outer.answer is None else outer.answer
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/state"

    def state(self) -> bytes:
        if self.document.exists():
            content = self.document.read_bytes()
            document = json.loads(content)
            if document["generation"] > self.model.generation:
                self.model.adopt(document, content)
        return json.dumps(self.model.state(Service())).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
