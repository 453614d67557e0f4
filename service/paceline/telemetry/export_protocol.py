"""Whether spans can be sent by the protocol that was asked for. Loads no exporter: asked before any process starts."""

from importlib.util import find_spec
from typing import Final

from paceline.errors import UsageError
from paceline.settings import OpenTelemetrySettings

GRPC: Final = "grpc"
HTTP: Final = "http/protobuf"
_GRPC_MODULE: Final = "opentelemetry.exporter.otlp.proto.grpc"


def check_protocol(settings: OpenTelemetrySettings) -> None:
    """Raises UsageError where spans are to be exported and the protocol is unknown, or its exporter not installed."""
    if not settings.enabled:
        return
    if settings.protocol not in (GRPC, HTTP):
        raise UsageError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL is {settings.protocol!r}; Paceline sends spans by {HTTP} or {GRPC}"
        )
    if settings.protocol == GRPC and not _installed(_GRPC_MODULE):
        raise UsageError(
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and its exporter is not installed;"
            f" install opentelemetry-exporter-otlp-proto-grpc, or set it to {HTTP}"
        )


def _installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
