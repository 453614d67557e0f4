"""Every setting of the operator: typed, read from the environment once per process.

What differs from policy to policy is in the policy's `behavior`, not here.
"""

from typing import Final, Literal

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from paceline_operator.errors import UsageError

OPERATOR_CLASS: Final = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$"
MOST_CLASS_CHARACTERS: Final = 40
"""Of an operator class; it is part of the name of a Lease."""


class OperatorSettings(BaseSettings):
    """One operator process."""

    model_config = SettingsConfigDict(env_prefix="PACELINE_OPERATOR_", frozen=True)

    max_mode: Literal["Off", "Recommend", "Auto"] = "Auto"
    """Caps the mode of every policy: `Recommend` makes an installation that never changes anything."""
    namespaces: str = ""
    """Namespaces to watch, separated by commas; empty: all of them."""
    operator_class: str = Field(
        default="", validation_alias="PACELINE_OPERATOR_CLASS", max_length=MOST_CLASS_CHARACTERS, pattern=OPERATOR_CLASS
    )
    """Works on the policies and budgets with this `spec.operatorClass`, and only on them; empty: on those without."""
    nudge: bool = True
    """Ask kubelet to sync the document at once (0.3–1.1 s instead of 57–89 s); needs patch on pods/status."""
    scrape_timeout_seconds: float = Field(default=2.0, gt=0)
    """A pod that does not respond to /state in this time counts as not reporting."""
    scrape_concurrency: int = Field(default=64, ge=1)
    """Pods asked at the same time."""
    scrape_max_bytes: int = Field(default=1 << 20, ge=1024)
    """The report of a pod that is longer is refused; those of large services have 100 kB."""
    ack_poll_seconds: float = Field(default=0.2, gt=0)
    """How often pods are asked whether they run a new generation."""
    ack_wait_seconds: float = Field(default=10.0, gt=0)
    """How long one pass waits for acks before it reports `NotConverged` and comes back later."""
    retry_seconds: float = Field(default=1.0, gt=0)
    """First wait after a failed pass; doubles up to `retry_max_seconds`."""
    retry_max_seconds: float = Field(default=60.0, gt=0)
    """Longest wait after failed passes."""
    idle_seconds: float = Field(default=60.0, gt=0)
    """How often a policy that cannot be tuned (invalid, no target) is looked at without an event."""

    api_timeout_seconds: float = Field(default=10.0, gt=0)
    """Deadline of one call to the API server, from connecting to the last byte."""
    probe_bind: str = "0.0.0.0:8080"
    """Address of kubelet's liveness probe, HOST:PORT; the path is /healthz."""
    metrics_bind: str = "0.0.0.0:8081"
    """Address of /metrics, HOST:PORT; empty: none."""
    console_bind: str = ""
    """Address of the console on loopback, such as 127.0.0.1:8082; empty: none. Reach it by kubectl port-forward."""
    console_jaeger_url: str = Field(default="", pattern=r"^(https?://\S+)?$")
    """Where a browser finds Jaeger, such as http://localhost:16686: the console's decisions link to their traces."""
    log_format: Literal["json", "plain"] = "json"
    """JSON lines for a log collector, or text for people."""
    otlp_endpoint: str | None = Field(
        default=None,
        validation_alias=AliasChoices("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """Each reconcile is traced where an OTLP endpoint is named; the exporter reads the standard variables itself."""

    @property
    def watched_namespaces(self) -> tuple[str, ...]:
        """`namespaces` as names; empty: the whole cluster."""
        return tuple(name.strip() for name in self.namespaces.split(",") if name.strip())

    @classmethod
    def from_environment(cls) -> "OperatorSettings":
        """Reads `PACELINE_OPERATOR_*`.

        Raises:
            UsageError: names the variable and what is wrong with it.
        """
        try:
            return cls()
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = "PACELINE_OPERATOR_" + "_".join(str(part) for part in first["loc"]).upper()
            raise UsageError(f"{name}: {first['msg']}") from error
