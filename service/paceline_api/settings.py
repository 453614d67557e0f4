"""The reference API's settings: grouped, from the environment, read once when the application starts.

There are no defaults for addresses and credentials: an API that silently talks to the wrong database is worse than one
that does not start. Pool limits and TTLs here are start values: a tuning policy may move them while the process runs.
"""

from types import MappingProxyType
from typing import Annotated, Final, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from paceline_api.errors import ConfigurationError

_WELL_KNOWN_PASSWORDS: Final = frozenset(
    {"admin", "changeme", "example", "pass", "password", "postgres", "redis", "secret", "valkey"}
)
_SECRET_BYTES: Final = 32  # RFC 7518, 3.2: a key as long as the hash
_WELL_KNOWN_SECRETS: Final = frozenset(
    {
        "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's tutorial
        "a-string-secret-at-least-256-bits-long",  # jwt.io
    }
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


def _is_http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write http://HOST:PORT")
    return url


_http_url: Final = AfterValidator(_is_http_url)


class Group(BaseSettings):
    """Base of the groups. A field's variable is its group's prefix and its name, or its alias."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True)


class PostgresSettings(Group):
    """The shop's database. Required."""

    model_config = SettingsConfigDict(env_prefix="API_POSTGRES_")

    url: Annotated[SecretStr, _safe_url("postgresql", "postgres")] = Field(validation_alias="DATABASE_URL")
    """postgresql://USER:PASSWORD@HOST:PORT/NAME."""
    limit: int = Field(default=5, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=40, ge=1)
    """Hard cap on them, whatever a document says."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for a connection, and again for a query; then the answer is 503."""
    migration_wait_seconds: float = Field(default=60.0, ge=0)
    """How long `python -m paceline_api.migrate` waits for a database that does not answer yet."""
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

    url: Annotated[SecretStr, _safe_url("redis", "rediss", "unix")] = Field(validation_alias="REDIS_URL")
    """redis://:PASSWORD@HOST:PORT/NUMBER."""
    limit: int = Field(default=10, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""


class CorsSettings(Group):
    """Which web pages may read answers. None unless named."""

    model_config = SettingsConfigDict(env_prefix="API_CORS_")

    origins: str = ""
    """Origins separated by commas, such as `https://shop.example`; `*` for any."""


class RateLimitSettings(Group):
    """How often one client may ask what lies below `/api/`. In `REDIS_URL`, for all workers and pods together."""

    model_config = SettingsConfigDict(env_prefix="API_RATE_LIMIT_")

    requests: int = Field(default=100, ge=1)
    """Requests of one client address in one window; of IPv6 addresses the first 64 bits count."""
    window_seconds: int = Field(default=60, ge=1, le=86_400)
    """Length of a window. It starts with a client's first request."""
    timeout_seconds: float = Field(default=1.0, gt=0)
    """Longest wait for Redis. Too short a time opens the limit under load, just when it is needed."""
    fail_open: bool = True
    """While Redis does not answer: `true` admits every request, `false` refuses every one with 503."""


class MongoSettings(Group):
    """MongoDB. Without its address /documents answers 503."""

    model_config = SettingsConfigDict(env_prefix="API_MONGO_")

    url: Annotated[SecretStr, _safe_url("mongodb", "mongodb+srv")] | None = Field(
        default=None, validation_alias="MONGO_URL"
    )
    """mongodb://USER:PASSWORD@HOST:PORT/NAME."""
    limit: int = Field(default=10, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=50, ge=1)
    """Hard cap on them, whatever a document says."""
    timeout_seconds: float = Field(default=5.0, gt=0)
    """Longest wait for a whole operation; then the answer is 503."""


class UpstreamSettings(Group):
    """The service that /users and /dashboard ask. Without its address these routes answer 503."""

    model_config = SettingsConfigDict(env_prefix="API_UPSTREAM_")

    url: Annotated[str, _http_url] | None = Field(default=None, validation_alias="UPSTREAM_URL")
    """http://HOST:PORT."""
    limit: int = Field(default=20, ge=1)
    """Connections per worker without a tuning document."""
    cap: int = Field(default=100, ge=1)
    """Hard cap on them, whatever a document says."""
    attempts: int = Field(default=3, ge=1)
    """How often a request that failed for the moment is made in all."""
    attempt_seconds: float = Field(default=2.0, gt=0)
    """Longest wait for one attempt's answer, the wait for a connection included."""
    deadline_seconds: float = Field(default=3.0, gt=0)
    """Longest wait for all attempts together; then the answer is 504."""


class ProcessesSettings(Group):
    """The process pool for CPU work. One for all workers of a pod."""

    model_config = SettingsConfigDict(env_prefix="API_PROCESSES_")

    limit: int = Field(default=1, ge=1)
    """Processes per pod without a tuning document."""
    cap: int = Field(default=8, ge=1)
    """Hard cap on them, whatever a document says."""
    queue: int = Field(default=16, ge=0)
    """Requests that may wait for a process in one pod; one more is answered with 503."""


class TokenSettings(Group):
    """Bearer tokens. Without a secret `/auth` answers 503, and all else works."""

    model_config = SettingsConfigDict(env_prefix="API_TOKEN_")

    secret: SecretStr | None = None
    """Signs tokens (HS256): 32 random bytes or more, the same in all pods. A short or well-known one is refused where
    the database is on another machine."""
    lifetime_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long a token is good for."""


class SignInSettings(Group):
    """Passwords: how many may be tried, and how many are computed."""

    model_config = SettingsConfigDict(env_prefix="API_SIGN_IN_")

    attempts_per_account: int = Field(default=10, ge=1)
    """Passwords tried for one account in a window; signing in starts a new one."""
    attempts_per_address: int = Field(default=50, ge=1)
    """Passwords tried, and accounts made, from one client address in a window."""
    window_seconds: int = Field(default=300, ge=1, le=86_400)
    """Length of a window."""
    hashes_at_once: int = Field(default=2, ge=1)
    """Passwords that a worker hashes at a time; each takes a core and 19 MiB meanwhile."""


class MailSettings(Group):
    """The mail server, for `python -m paceline_api.jobs`. Without one, mails wait in the database."""

    model_config = SettingsConfigDict(env_prefix="API_MAIL_")

    smtp_url: Annotated[SecretStr, _safe_url("smtp", "smtps")] | None = None
    """smtp://USER:PASSWORD@HOST:PORT; STARTTLS where the server offers it. smtps:// for TLS from the start."""
    sender: str = "Paceline <hello@example.org>"
    """Who mails are from."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for the mail server."""
    retry_seconds: int = Field(default=30, ge=0)
    """After a delay by the mail server, the n-th try comes n times this later."""
    stalled_seconds: float = Field(default=30.0, gt=0)
    """A job whose process has said nothing for so long is begun anew by another."""


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
    cors: CorsSettings = Field(default_factory=CorsSettings)
    rate_limit: RateLimitSettings = Field(default_factory=RateLimitSettings)
    mongo: MongoSettings = Field(default_factory=MongoSettings)
    upstream: UpstreamSettings = Field(default_factory=UpstreamSettings)
    processes: ProcessesSettings = Field(default_factory=ProcessesSettings)
    token: TokenSettings = Field(default_factory=TokenSettings)
    sign_in: SignInSettings = Field(default_factory=SignInSettings)
    mail: MailSettings = Field(default_factory=MailSettings)
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
    if secret is None or urlsplit(settings.postgres.url.get_secret_value()).hostname in _LOOPBACK:
        return
    value = secret.get_secret_value()
    if len(value.encode()) < _SECRET_BYTES or value in _WELL_KNOWN_SECRETS:
        raise ConfigurationError(
            "environment variable API_TOKEN_SECRET is wrong: it is short or well known; take 32 random bytes"
        )


def _variable(title: str, place: str) -> str:
    """The variable that pydantic complains of: it names the group, and a field or its alias."""
    group = next(group for group in GROUPS.values() if group.__name__ == title)
    prefix = group.model_config["env_prefix"] if place in group.model_fields else ""
    return f"{prefix}{place}".upper()
