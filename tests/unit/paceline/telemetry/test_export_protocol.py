"""A protocol that spans cannot be sent by is an error at start, not another protocol."""

import pytest
from paceline.errors import UsageError
from paceline.settings import OpenTelemetrySettings
from paceline.telemetry.export_protocol import check_protocol


def asked(endpoint: str | None, protocol: str, traces: str | None = None) -> OpenTelemetrySettings:
    return OpenTelemetrySettings(
        exporter_otlp_endpoint=endpoint, exporter_otlp_protocol=protocol, exporter_otlp_traces_protocol=traces
    )


@pytest.mark.parametrize(("protocol", "traces"), [("grpc", None), ("http/protobuf", "grpc")])
def test_grpc_without_its_exporter_names_what_to_install(protocol: str, traces: str | None) -> None:
    with pytest.raises(UsageError, match="install opentelemetry-exporter-otlp-proto-grpc"):
        check_protocol(asked("http://127.0.0.1:4317", protocol, traces))


def test_an_unknown_protocol_is_named() -> None:
    with pytest.raises(UsageError, match="'http/json'"):
        check_protocol(asked("http://127.0.0.1:4318", "http/json"))


@pytest.mark.parametrize(("endpoint", "protocol"), [(None, "grpc"), ("http://127.0.0.1:4318", "http/protobuf")])
def test_what_works_or_is_off_is_no_error(endpoint: str | None, protocol: str) -> None:
    check_protocol(asked(endpoint, protocol))
