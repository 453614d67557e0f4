"""Every setting of the runtime: grouped, typed, read from the environment once per process.

A value that changes while the process runs is a tunable, not a setting, and travels in the tuning document.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from paceline.errors import UsageError
from paceline.trusted_peers import TrustedPeers


def _counted(workers: object) -> object:
    """`auto` counts once, in `paceline serve`; to all others it is the least."""
    return 1 if isinstance(workers, str) and workers.strip().lower() == "auto" else workers


_UNLESS_EMPTY: Final = BeforeValidator(lambda value: None if value == "" else value)


class ServeSettings(BaseSettings):
    """One pod's process tree."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_", frozen=True)

    bind: str = "127.0.0.1:8000"
    """Addresses the application listens on, separated by commas: HOST:PORT, `:PORT` for all of IPv4, [IPv6]:PORT,
    `unix:PATH`, `fd://N` for a socket that was inherited."""
    backlog: int = Field(default=2048, ge=1, le=2**31 - 1)
    """Connections that may wait to be taken; the kernel's `net.core.somaxconn` limits it."""
    umask: str = Field(default="0", pattern=r"^(0o)?[0-7]{1,4}$")
    """Octal; what is taken from the permissions 777 of a unix socket. 0, as with gunicorn: any user may connect."""
    pid_file: Annotated[Path | None, _UNLESS_EMPTY] = None
    """Holds the pid of the pod's first process while it runs."""
    app_dir: str = ""
    """Folders to import the application from, before the current one; separated by `:`."""
    root_path: str = Field(default="", pattern=r"^$|^/[!-~]*[!-.0-~]$")
    """Prefix of the path that a proxy takes off, such as `/api`: the application makes links with it."""
    lifespan: Literal["auto", "on", "off"] = "auto"
    """`on`: an application that takes no lifespan events does not start; `off`: it gets none."""
    management_bind: str = "127.0.0.1:9090"
    """Address of /livez /readyz /metrics /state, read-only: HOST:PORT, `:PORT` for all of IPv4, [IPv6]:PORT."""
    workers: Annotated[int, BeforeValidator(_counted)] = Field(default=1, ge=1)
    """Worker processes without a tuning document (the start value). `auto`: one for each core of the CPU limit, or,
    where there is none, of those that the process may run on, counted when the pod starts; the start line says how many
    and why. Each worker opens every pool once."""
    workers_at_once: int | None = Field(default=None, ge=1)
    """How many of them start before it is known what one takes, where memory is limited; the others follow one by one
    while there is room. None: all of them, and one with `auto`."""
    max_workers: int = Field(default=16, ge=1)
    """Hard cap on workers, whatever a document says."""
    tuning: Literal["on", "off"] = "on"
    """`off` ignores the tuning document: the pod keeps its start values."""
    tuning_file: Annotated[Path | None, _UNLESS_EMPTY] = None
    """The tuning document; it may appear, change and vanish. None: start values for ever."""
    run_dir: Annotated[Path | None, _UNLESS_EMPTY] = None
    """Folder for the files between the processes, best on tmpfs; a fresh temporary one by default. It is made if it is
    not there; one of another user, writable by others, or with other files in it is refused. A marker in it survives
    an unclean exit, so in a container name a folder inside an emptyDir, such as /run/paceline/pod."""
    preload: bool = True
    """Load the application before forking (6x less private memory per worker)."""
    keepalive_seconds: float = Field(default=5.0, gt=0)
    """How long an idle client connection stays open; bounds the drain of a removed worker."""
    graceful_timeout_seconds: float = Field(default=30.0, gt=0)
    """Longest request that a draining worker waits for."""
    drain_grace_seconds: float = Field(default=1.0, ge=0)
    """How long a draining worker waits for what cannot finish: event streams, requests whose client sends no more,
    connections that were never used. Idle ones stay for their keep-alive time: the next request may be on its way."""
    endless_types: str = "text/event-stream,multipart/x-mixed-replace"
    """Media types, separated by commas, of responses to GET that have no end; a drain ends them after its grace."""
    worker_timeout_seconds: float = Field(default=30.0, ge=0)
    """A worker whose event loop is silent for this long is killed. 0: never."""
    termination_delay_seconds: float = Field(default=0.0, ge=0)
    """Between `not ready` and the drain, so that load balancers notice; the chart sets 5."""
    shrink_deadline_seconds: float = Field(default=30.0, gt=0)
    """A shrink that connections still block after this is undone: ShrinkBlocked."""
    unpooled: str = Field(default="", pattern=r"^$|^[^,\s]+:\d+(,[^,\s]+:\d+)*$")
    """HOST:PORT,HOST:PORT: where workers may have connections of no pool's, that are not reported as unregistered."""
    pod_name: str = "local"
    """This pod's name, for reports and spans."""
    pod_uid: str = ""
    """This pod's uid; the document's `overrides` address pods by it."""
    service_version: str = ""
    """The application's version, for spans; the chart sets the image tag."""
    app_metrics: bool = True
    """What the application counts with prometheus_client is added up over workers and served with ours."""
    log_format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text where stderr is a terminal, else one JSON object a line."""
    log_level: Annotated[
        Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(lambda value: str(value).lower())
    ] = "info"
    """What Paceline logs from on; the application's loggers too, unless it configures logging itself."""


class TelemetrySettings(BaseSettings):
    """Tracing. The exporter reads the standard OTEL_* variables itself; no endpoint means no exporter."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_TRACE_", frozen=True)

    ratio: float = Field(default=0.05, ge=0, le=1)
    """Share of requests that get a full trace."""
    slow: float = Field(default=0.25, gt=0)
    """Seconds; a slower request is exported whatever the draw said, and so is a failed one."""


class MiddlewareSettings(BaseSettings):
    """What stands in front of the application. Middleware that changes responses is off unless asked for."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_", frozen=True, validate_by_name=True)

    trusted_proxies: str = Field(
        default="127.0.0.1,::1", validation_alias=AliasChoices("PACELINE_TRUSTED_PROXIES", "FORWARDED_ALLOW_IPS")
    )
    """Peers whose word on the client, the request's id and sampling counts: addresses or networks, separated by commas;
    `*` for any."""
    forwarded_by: Literal["x-forwarded", "forwarded"] = "x-forwarded"
    """Where they say who the client is: in X-Forwarded-For and X-Forwarded-Proto, or in Forwarded (RFC 7239)."""
    access_log: Literal["off", "auto", "json", "common"] = "off"
    """A line a request on standard output. `auto`: common where log lines are text, else JSON."""
    limit_concurrency: int = Field(default=0, ge=0)
    """Requests that a worker handles at the same time, unless a tuning document has bounds for `admission`; more get
    503. 0: no limit."""
    request_id: bool = False
    """Every request gets an id, in logs and as X-Request-ID; a trusted proxy's is kept."""
    process_time: bool = False
    """Responses say how long they took, as X-Process-Time and Server-Timing."""
    security_headers: bool = False
    """Responses get the headers that OWASP asks of an API, where the application sets none."""
    request_timeout_seconds: float = Field(default=0.0, ge=0)
    """A request without a response after this long gets 504 and its handler is cancelled; counts to the first byte.
    0: no limit."""
    max_body_bytes: int = Field(default=32 * 1024 * 1024, ge=0)
    """A request with a larger body gets 413, and the connection closes with the rest unread. 0: no limit."""
    body_limits: str = Field(default="", pattern=r"^$|^\s*/[^=,]*=\d+\s*(,\s*/[^=,]*=\d+\s*)*$")
    """ROUTE=BYTES,ROUTE=BYTES: other limits for bodies of single routes, such as `/files/{name}=1073741824`. The first
    that is like the path counts; `{name}` is one segment, `*` any rest. 0: no limit."""

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, addresses: str) -> str:
        try:
            TrustedPeers(addresses)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return addresses


class HttpSettings(BaseSettings):
    """Limits on what a client may send, and how slowly; the management port has the same."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_", frozen=True)

    max_head_bytes: int = Field(default=64 * 1024, ge=1024)
    """A request with a larger head (request line and header fields) gets 431; so do trailers and chunk extensions."""
    max_head_fields: int = Field(default=100, ge=10)
    """A request with more header fields gets 431."""
    head_timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest time from the connection, or from the first byte of a later request, to the end of the head; then 408."""
    body_timeout_seconds: float = Field(default=30.0, gt=0)
    """Longest time between two packets of a body; then 408. A body as a whole may take as long as it likes."""
    max_connections: int = Field(default=0, ge=0)
    """Most connections of one process. Above it, those that are not being served are closed, the silent ones first.
    0: what three quarters of the file descriptors (RLIMIT_NOFILE) allow."""

    server_header: bool = False
    """Responses carry `Server: uvicorn`."""
    date_header: bool = True
    """Responses carry `Date`."""
    response_headers: str = Field(default="", pattern=r"^$|^[!#-'*+.^-`|~\w-]+:[ -~]*(\n[!#-'*+.^-`|~\w-]+:[ -~]*)*$")
    """NAME:VALUE, one a line: every response carries them."""


class WebSocketSettings(BaseSettings):
    """Limits on open WebSockets."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_WS_", frozen=True)

    max_bytes: int = Field(default=16 * 1024 * 1024, ge=1)
    """A larger message closes its WebSocket."""
    ping_seconds: float = Field(default=20.0, ge=0)
    """Between two pings. 0: none."""
    ping_timeout_seconds: float = Field(default=20.0, ge=0)
    """A WebSocket without a pong for this long is closed. 0: never."""
    per_message_deflate: bool = True
    """Messages may be compressed."""


class CacheSettings(BaseSettings):
    """What `tune.cache` and `ResponseCacheMiddleware` store in Redis."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_CACHE_", frozen=True)

    namespace: str = ""
    """What their keys begin with; applications that share a Redis need different ones. Empty: MODULE:APP under
    `paceline serve`, elsewhere the module of the cached function."""


class OpenTelemetrySettings(BaseSettings):
    """The few standard variables that Paceline itself must know; the SDK reads the rest."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", frozen=True)

    exporter_otlp_endpoint: str | None = None
    exporter_otlp_traces_endpoint: str | None = None
    exporter_otlp_protocol: str = "http/protobuf"
    """`http/protobuf`, or `grpc` where its exporter is installed."""
    exporter_otlp_traces_protocol: str | None = None
    service_name: str = "paceline-service"
    sdk_disabled: bool = False
    traces_exporter: str = "otlp"
    traces_sampler: str | None = None
    bsp_max_queue_size: int = Field(default=2048, ge=1)
    bsp_max_export_batch_size: int = Field(default=512, ge=1)

    @property
    def enabled(self) -> bool:
        """Spans are exported only where an endpoint is named and nothing switches the export off."""
        endpoint = self.exporter_otlp_traces_endpoint or self.exporter_otlp_endpoint
        return bool(endpoint) and not self.sdk_disabled and self.traces_exporter != "none"

    @property
    def protocol(self) -> str:
        """How spans are sent."""
        return self.exporter_otlp_traces_protocol or self.exporter_otlp_protocol


class Settings(BaseModel):
    """All groups. Built once per process by `load_settings` and passed on. Only the groups read the environment: a
    variable of somebody else's may have the name of a group."""

    model_config = ConfigDict(frozen=True)

    serve: ServeSettings = Field(default_factory=ServeSettings)
    telemetry: TelemetrySettings = Field(default_factory=TelemetrySettings)
    middleware: MiddlewareSettings = Field(default_factory=MiddlewareSettings)
    http: HttpSettings = Field(default_factory=HttpSettings)
    websockets: WebSocketSettings = Field(default_factory=WebSocketSettings)
    cache: CacheSettings = Field(default_factory=CacheSettings)
    opentelemetry: OpenTelemetrySettings = Field(default_factory=OpenTelemetrySettings)


GROUPS: Final[Mapping[str, type[BaseSettings]]] = {
    "serve": ServeSettings,
    "telemetry": TelemetrySettings,
    "middleware": MiddlewareSettings,
    "http": HttpSettings,
    "websockets": WebSocketSettings,
    "cache": CacheSettings,
    "opentelemetry": OpenTelemetrySettings,
}
"""By the name of their field in `Settings`."""


def load_settings(written: Mapping[str, str] | None = None) -> Settings:
    """Reads the environment.

    Args:
        written: how variables were written that `paceline serve` has set: `--workers`, `bind in paceline.toml`.

    Raises:
        UsageError: names the variable or option that is wrong and what it must be.
    """
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        group = next((group for group in GROUPS.values() if group.__name__ == error.title), ServeSettings)
        reason = str(first["ctx"]["error"]) if first["type"] == "value_error" else first["msg"].lower()
        variable = _variable(group, first["loc"])
        said = (written or {}).get(variable, variable)
        where = f"environment variable {variable}" if said == variable else said
        raise UsageError(f"{where} is wrong: {reason} (got {first['input']!r})") from error


def _variable(group: type[BaseSettings], location: Sequence[Any]) -> str:
    """The variable that was set: of several names for one setting, the one that the environment holds."""
    for field in group.model_fields.values():
        names = field.validation_alias.choices if isinstance(field.validation_alias, AliasChoices) else []
        if location[0] in names:
            present = {variable.upper() for variable in os.environ}
            return str(next((name for name in names if name in present), location[0]))
    return f"{group.model_config['env_prefix']}{'_'.join(map(str, location))}".upper()
