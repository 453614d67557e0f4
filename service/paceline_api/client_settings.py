"""Settings of what clients are given and allowed: accounts, mails, prices, and how often they may ask."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from paceline_api.settings_group import Group, safe_url


class RateLimitSettings(Group):
    """How often one client may ask what lies below `/api/`. Counted in `SECURITY_REDIS_URL`, for all pods."""

    model_config = SettingsConfigDict(env_prefix="API_RATE_LIMIT_")

    requests: int = Field(default=100, ge=1)
    """Requests of one client address in one window; of IPv6 addresses the first 64 bits count."""
    window_seconds: int = Field(default=60, ge=1, le=86_400)
    """Length of a window. It starts with a client's first request."""
    timeout_seconds: float = Field(default=1.0, gt=0)
    """Longest wait for Redis. Too short a time opens the limit under load, just when it is needed."""
    fail_open: bool = True
    """While Redis is down or takes no writes: `true` admits every request, `false` refuses every one with 503."""


class TokenSettings(Group):
    """Bearer tokens. Without a secret `/auth` responds 503, and everything else works."""

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


class PriceSettings(Group):
    """/ws/prices. Each worker with clients has one more connection to Redis, beside its pool."""

    model_config = SettingsConfigDict(env_prefix="API_PRICES_")

    queue: int = Field(default=64, ge=1)
    """Messages that may wait for one client; one more, and the oldest is dropped."""
    clients: int = Field(default=1000, ge=1)
    """Clients of one worker; one more is closed with 1013."""
    ticker_seconds: float = Field(default=0.0, ge=0)
    """How often one worker of the pod publishes made-up prices, for development. 0: never."""


class MailSettings(Group):
    """The mail server, for `python -m paceline_api.jobs`. Without one, mails wait in the database."""

    model_config = SettingsConfigDict(env_prefix="API_MAIL_")

    smtp_url: Annotated[SecretStr, safe_url("smtp", "smtps")] | None = None
    """smtp://USER:PASSWORD@HOST:PORT; STARTTLS where the server offers it. smtps:// for TLS from the start."""
    sender: str = "Paceline <hello@example.org>"
    """Who mails are from."""
    timeout_seconds: float = Field(default=10.0, gt=0)
    """Longest wait for the mail server."""
    retry_seconds: int = Field(default=30, ge=0)
    """After a delay by the mail server, the n-th try comes n times this later."""
    stalled_seconds: float = Field(default=30.0, gt=0)
    """A job whose process has said nothing for so long is begun anew by another. More than one and a half times
    `API_JOBS_STOP_SECONDS`, or it does not start: a process that stops says nothing."""


class JobsSettings(Group):
    """The process `python -m paceline_api.jobs`."""

    model_config = SettingsConfigDict(env_prefix="API_JOBS_")

    alive_file: Path | None = None
    """Touched every five seconds once the database has responded, for probes: it has no port. None: no file."""
    stop_seconds: float = Field(default=10.0, ge=0)
    """What a job under way may take once the process is told to stop; then the next process begins it anew."""
