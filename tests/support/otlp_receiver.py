"""An OTLP/HTTP receiver as a pod: takes spans in at 4318 and gives them back as JSON on `GET /spans`.

This file is both the test's half, which makes the objects, and the pod's, which runs it with the service's image.
"""

import http.server
import json
import threading
from pathlib import Path
from typing import Any

NAME = "otlp-receiver"
KEPT_SPANS = 20_000


def objects() -> list[dict[str, Any]]:
    """ConfigMap, Pod and Service; under the restricted pod security standard."""
    from images import TAG

    metadata = {"name": NAME, "labels": {"app": NAME}}
    container = {
        "name": "receiver",
        "image": f"paceline-service:{TAG}",
        "imagePullPolicy": "IfNotPresent",
        "args": ["python", f"/code/{Path(__file__).name}"],
        "ports": [{"containerPort": 4318}],
        "readinessProbe": {"httpGet": {"path": "/spans", "port": 4318}, "periodSeconds": 1},
        "volumeMounts": [{"name": "code", "mountPath": "/code"}],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }
    pod = {
        "securityContext": {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}},
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": "code", "configMap": {"name": NAME}}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {Path(__file__).name: Path(__file__).read_text()},
        },
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"selector": {"app": NAME}, "ports": [{"port": 4318}]},
        },
    ]


class Receiver(http.server.BaseHTTPRequestHandler):
    """Decodes what arrives; forgets the oldest."""

    spans: list[dict[str, Any]] = []  # noqa: RUF012 - shared by all requests on purpose
    lock = threading.Lock()

    def do_POST(self) -> None:
        from google.protobuf.json_format import MessageToDict  # type: ignore[import-untyped]
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            import gzip

            body = gzip.decompress(body)
        message = MessageToDict(ExportTraceServiceRequest.FromString(body))
        with self.lock:
            self.spans.extend(flattened(message))
            del self.spans[:-KEPT_SPANS]
        self._answer(b"", "application/x-protobuf")

    def do_GET(self) -> None:
        with self.lock:
            body = json.dumps(self.spans).encode()
        self._answer(body, "application/json")

    def _answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


def flattened(message: dict[str, Any]) -> list[dict[str, Any]]:
    """The spans of an export with the attributes as a plain mapping and the sender's name beside them."""
    found = []
    for resource in message.get("resourceSpans", []):
        sender = plain(resource["resource"]["attributes"])
        for scope in resource.get("scopeSpans", []):
            for span in scope["spans"]:
                links = [link["traceId"] for link in span.get("links", [])]
                attributes = plain(span.get("attributes", []))
                found.append(
                    {
                        "service": sender.get("service.name"),
                        "pod": sender.get("k8s.pod.name"),
                        "name": span["name"],
                        "kind": span.get("kind"),
                        "trace": span["traceId"],
                        "links": links,
                        "attributes": attributes,
                    }
                )
    return found


def plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {item["key"]: next(iter(item["value"].values()), None) for item in attributes}


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", 4318), Receiver).serve_forever()
