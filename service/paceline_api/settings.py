"""The reference API's settings: grouped, from the environment, read once when the application starts.

There are no defaults for addresses and credentials: an API that silently talks to the wrong database is worse than one
that does not start. Pool limits and TTLs here are start values: a tuning policy may move them while the process runs.
"""

from types import MappingProxyType
from typing import Annotated, Final, cast
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import SettingsConfigDict

from paceline_api.client_settings import (
    JobsSettings,
    MailSettings,
    PriceSettings,
    RateLimitSettings,
    SignInSettings,
    TokenSettings,
)
from paceline_api.errors import ConfigurationError
from paceline_api.settings_group import LOOPBACK, Group, http_url, is_weak, safe_url


class PostgresSettings(Group):
    """The shop's database. Required."""

    model_config = SettingsConfigDict(env_prefix="API_POSTGRES_")

    url: Annotated[SecretStr, safe_url("postgresql", "postgres")] = Field(validation_alias="DATABASE_URL")
    """postgresql://USER:PASSWORD@HOST:PORT/NAME."""
    limit: int = Field(default=5, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=40, ge=1)
    """Hard cap on them, whatever a document says."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for a connection, and again for a query; then the response is 503."""
    migration_wait_seconds: float = Field(default=60.0, ge=0)
    """How long `python -m paceline_api.migrate` waits for a database that does not respond yet."""
    simulated_distance_seconds: float = Field(
        default=0.0, ge=0, le=1, validation_alias="API_SIMULATED_DISTANCE_SECONDS"
    )
    """Every read of the pool `postgres` takes this much longer, waiting, as with a database far away.
    For demonstrations."""


class ItemsSettings(Group):
    """The pool of SQLAlchemy's engine, for /items. The server is that of `DATABASE_URL`."""

    model_config = SettingsConfigDict(env_prefix="API_ITEMS_")

    limit: int = Field(default=3, ge=1)
    """Connections per worker without a tuning document; they count beside those of the pool `postgres`."""
    cap: int = Field(default=20, ge=1)
    """Hard cap on them, whatever a document says."""


class RedisSettings(Group):
    """Redis or Valkey. Required."""

    model_config = SettingsConfigDict(env_prefix="API_REDIS_")

    url: Annotated[SecretStr, safe_url("redis", "rediss", "unix")] = Field(validation_alias="REDIS_URL")
    """redis://:PASSWORD@HOST:PORT/NUMBER."""
    limit: int = Field(default=10, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""


class SecurityRedisSettings(Group):
    """The Redis that keeps revoked tokens, attempts to sign in and rate limits.

    It must be a server with `maxmemory-policy noeviction` that holds nothing that clients fill. Where it may evict keys
    nobody can sign in.
    """

    model_config = SettingsConfigDict(env_prefix="API_SECURITY_REDIS_")

    url: Annotated[SecretStr, safe_url("redis", "rediss", "unix")] | None = Field(
        default=None, validation_alias="SECURITY_REDIS_URL"
    )
    """redis://:PASSWORD@HOST:PORT/NUMBER. Without it, `REDIS_URL` and its pool."""
    limit: int = Field(default=5, ge=1)
    """Connections per worker without a tuning document, of the pool `security`."""
    cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""


class CorsSettings(Group):
    """Which web pages may read responses. None unless named."""

    model_config = SettingsConfigDict(env_prefix="API_CORS_")

    origins: str = ""
    """Origins separated by commas, such as `https://shop.example`; `*` for any."""


class MongoSettings(Group):
    """MongoDB. Without its address /documents responds 503."""

    model_config = SettingsConfigDict(env_prefix="API_MONGO_")

    url: Annotated[SecretStr, safe_url("mongodb", "mongodb+srv")] | None = Field(
        default=None, validation_alias="MONGO_URL"
    )
    """mongodb://USER:PASSWORD@HOST:PORT/NAME."""
    limit: int = Field(default=10, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait for a whole operation; then the response is 503."""


class UpstreamSettings(Group):
    """The service that /users and /dashboard ask. Without its address these routes respond 503."""

    model_config = SettingsConfigDict(env_prefix="API_UPSTREAM_")

    url: Annotated[str, http_url] | None = Field(default=None, validation_alias="UPSTREAM_URL")
    """http://HOST:PORT."""
    limit: int = Field(default=20, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=100, ge=1)
    """Hard cap on them, whatever a document says."""
    attempts: int = Field(default=3, ge=1)
    """How often a request that failed for the moment is made in all."""
    attempt_seconds: float = Field(default=2.0, gt=0)
    """Longest wait for one attempt's response, the wait for a connection included."""
    deadline_seconds: float = Field(default=3.0, gt=0)
    """Longest wait for all attempts together; then the response is 504."""


class ProcessesSettings(Group):
    """The process pool for CPU work. One for all workers of a pod."""

    model_config = SettingsConfigDict(env_prefix="API_PROCESSES_")

    limit: int = Field(default=1, ge=1)
    """Processes per pod without a tuning document."""
    cap: int = Field(default=8, ge=1)
    """Hard cap on them, whatever a document says."""
    queue: int = Field(default=16, ge=0)
    """Requests that may wait for a process in one pod; one more gets 503."""


class PitfallsSettings(Group):
    """`/pitfalls`: mistakes to look at. They hurt whoever shares the worker."""

    model_config = SettingsConfigDict(env_prefix="API_PITFALLS_")

    enabled: bool = False
    """`true` in tests and for demonstrations only."""


class Settings(BaseModel):
    """All groups. Built once per process by `load_settings` and passed on.

    A group whose variables all have defaults is a `Field(default_factory=...)`.
    """

    model_config = ConfigDict(frozen=True)

    postgres: PostgresSettings
    items: ItemsSettings = Field(default_factory=ItemsSettings)
    redis: RedisSettings
    security_redis: SecurityRedisSettings = Field(default_factory=SecurityRedisSettings)
    cors: CorsSettings = Field(default_factory=CorsSettings)
    rate_limit: RateLimitSettings = Field(default_factory=RateLimitSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    upstream: UpstreamSettings = Field(default_factory=UpstreamSettings)
    processes: ProcessesSettings = Field(default_factory=ProcessesSettings)
    token: TokenSettings = Field(default_factory=TokenSettings)
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    prices: PriceSettings = Field(default_factory=PriceSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
    jobs: JobsSettings = Field(default_factory=JobsSettings)
    pitfalls: PitfallsSettings = Field(default_factory=PitfallsSettings)


GROUPS: Final = MappingProxyType(
    {name: cast(type[Group], field.annotation) for name, field in Settings.model_fields.items()}
)
"""The class of each group, by its name in `Settings`."""


def load_settings() -> Settings:
    """Reads the environment.

    Raises:
        ConfigurationError: names the variable that is missing or wrong; never its value, which may hold a password.
    """
    try:
        settings = Settings.model_validate({name: group() for name, group in GROUPS.items()})
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        what = "is not set" if first["type"] == "missing" else f"is wrong: {first['msg'].removeprefix('Value error, ')}"
        raise ConfigurationError(
            f"environment variable {_variable(error.title, str(first['loc'][0]))} {what}"
        ) from None

    _refuse_weak_secret(settings)
    return settings


def _refuse_weak_secret(settings: Settings) -> None:
    """Anybody can sign tokens with a secret that can be guessed. On one machine, that is nobody else."""
    secret = settings.token.secret
    is_here = urlsplit(settings.postgres.url.get_secret_value()).hostname in LOOPBACK
    if secret is not None and not is_here and is_weak(secret.get_secret_value()):
        raise ConfigurationError(
            "environment variable API_TOKEN_SECRET is wrong: it is short or well known; take 32 random bytes"
        )


def _variable(title: str, place: str) -> str:
    """The variable that pydantic objects to: it names the group, and a field or its alias."""
    group = next(group for group in GROUPS.values() if group.__name__ == title)
    prefix = group.model_config["env_prefix"] if place in group.model_fields else ""
    return f"{prefix}{place}".upper()
