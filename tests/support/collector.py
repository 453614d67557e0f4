"""A collector on loopback: takes OTLP/HTTP exports in and hands the spans to the test, or refuses, or never answers."""

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

Behaviour = Literal["takes", "refuses", "hangs"]


@dataclass(frozen=True)
class ReceivedSpan:
    """One span as it came over the wire."""

    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    links: tuple[tuple[str, str], ...]
    """Trace and span of each."""
    seconds: float
    failed: bool
    attributes: dict[str, Any]
    resource: dict[str, Any]

    @property
    def is_server(self) -> bool:
        return self.kind == trace_pb2.Span.SpanKind.SPAN_KIND_SERVER


StartCollector = Callable[..., "Collector"]


class Collector:
    """What arrived so far, and how it behaves from now on."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.spans: list[ReceivedSpan] = []
        self.exports = 0
        self.end = threading.Event()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.exports += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if collector.behaviour == "hangs":
                    collector.end.wait()
                    self.close_connection = True
                    return
                if collector.behaviour == "takes":
                    collector.spans += decode(self.headers.get("Content-Encoding"), body)
                self.send_response(200 if collector.behaviour == "takes" else 503)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="collector")
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """For OTEL_EXPORTER_OTLP_ENDPOINT."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def named(self, name: str) -> list[ReceivedSpan]:
        return [span for span in self.spans if span.name == name]

    def close(self) -> None:
        self.end.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@contextmanager
def collecting(behaviour: Behaviour = "takes") -> Iterator[Collector]:
    collector = Collector(behaviour)
    try:
        yield collector
    finally:
        collector.close()


def decode(encoding: str | None, body: bytes) -> Iterator[ReceivedSpan]:
    export = ExportTraceServiceRequest.FromString(gzip.decompress(body) if encoding == "gzip" else body)
    for resource in export.resource_spans:
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield ReceivedSpan(
                    name=span.name,
                    kind=span.kind,
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    links=tuple((link.trace_id.hex(), link.span_id.hex()) for link in span.links),
                    seconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e9,
                    failed=span.status.code == trace_pb2.Status.StatusCode.STATUS_CODE_ERROR,
                    attributes=dict(_plain(each) for each in span.attributes),
                    resource=dict(_plain(each) for each in resource.resource.attributes),
                )


def _plain(attribute: KeyValue) -> tuple[str, Any]:
    value: AnyValue = attribute.value
    kind = value.WhichOneof("value")
    return attribute.key, None if kind is None else getattr(value, kind)
