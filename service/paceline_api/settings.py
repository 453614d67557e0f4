"""The reference API's settings: from the environment, read once when the application starts.

There are no defaults for addresses and credentials: an API that silently talks to the wrong database is worse than one
that does not start.
"""

from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from paceline_api.errors import ConfigurationError

_WELL_KNOWN_PASSWORDS: Final = frozenset(
    {"admin", "changeme", "example", "pass", "password", "postgres", "redis", "secret", "valkey"}
)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def _safe_url(*schemes: str) -> AfterValidator:
    def check(url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in schemes or not parts.hostname:
            raise ValueError(f"write {schemes[0]}://USER:PASSWORD@HOST:PORT/NAME")
        if parts.password in _WELL_KNOWN_PASSWORDS and parts.hostname not in _LOOPBACK:
            raise ValueError("its password is one that everybody knows; choose another")
        return url

    return AfterValidator(check)


class Settings(BaseSettings):
    """Pool limits and TTLs here are start values: a tuning policy may move them while the process runs."""

    model_config = SettingsConfigDict(frozen=True)

    database_url: Annotated[SecretStr, _safe_url("postgresql", "postgres")]
    redis_url: Annotated[SecretStr, _safe_url("redis", "rediss", "unix")]

    api_postgres_limit: int = Field(default=5, ge=1)
    """Connections to PostgreSQL per worker without a tuning document."""
    api_postgres_cap: int = Field(default=40, ge=1)
    """Hard cap on them, whatever a document says."""
    api_redis_limit: int = Field(default=10, ge=1)
    """Connections to Redis per worker without a tuning document."""
    api_redis_cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""
    api_query_timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for a connection, and again for a query; then the answer is 503."""
    api_database_wait_seconds: float = Field(default=60.0, ge=0)
    """How long `python -m paceline_api.migrate` waits for a database that does not answer yet."""
    api_simulated_distance_seconds: float = Field(default=0.0, ge=0, le=1)
    """Every read of PostgreSQL takes this much longer, waiting, as with a database far away. For demonstrations."""


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        ConfigurationError: names the variable that is missing or wrong; never its value, which may hold a password.
    """
    try:
        return Settings()  # type: ignore[call-arg]  # the environment gives them
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        variable = str(first["loc"][0]).upper()
        what = "is not set" if first["type"] == "missing" else f"is wrong: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigurationError(f"environment variable {variable} {what}") from None
