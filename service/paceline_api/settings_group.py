"""What groups of settings are made of: their base, and checks of values that are easily unsafe."""

from typing import Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

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
LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def safe_url(*schemes: str) -> AfterValidator:
    """Of one of these schemes, and with a password that not everybody knows, unless it is on this machine."""

    def check(url: SecretStr) -> SecretStr:
        parts = urlsplit(url.get_secret_value())
        is_socket = parts.scheme == "unix" and parts.path.startswith("/")
        if parts.scheme not in schemes or not (parts.hostname or is_socket):
            raise ValueError(f"write {schemes[0]}://USER:PASSWORD@HOST:PORT/NAME")
        if parts.password in _WELL_KNOWN_PASSWORDS and not is_socket and parts.hostname not in LOOPBACK:
            raise ValueError("its password is one that everybody knows; choose another")
        return url

    return AfterValidator(check)


def is_weak(secret: str) -> bool:
    """Whether a secret that signs something can be guessed."""
    return len(secret.encode()) < _SECRET_BYTES or secret in _WELL_KNOWN_SECRETS


def _is_http_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("write http://HOST:PORT")
    return url


http_url: Final = AfterValidator(_is_http_url)


class Group(BaseSettings):
    """Base of the groups. A field's variable is its group's prefix and its name, or its alias."""

    model_config = SettingsConfigDict(frozen=True, populate_by_name=True)
