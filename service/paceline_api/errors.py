"""Everything that can go wrong. What a client learns of it: `problems.py`.

ApiError
├── ConfigurationError   the process cannot start with this environment
├── MigrationError       the database could not be brought to the newest schema
├── MailDelayed          the mail server did not take a mail now
├── MailRefused          the mail server does not want a mail
└── Problem              becomes a response: its class's name and status, its message as the detail
    ├── InvalidRequest   422
    ├── InvalidCredentials, InvalidToken 401
    ├── NotFound         404
    ├── SkuTaken, EmailTaken 409
    ├── ContentTooLarge  413
    ├── TooManyRequests  429
    ├── UpstreamFailed   502
    ├── Unavailable      503
    ├── NotConfigured    503
    ├── Busy             503
    └── UpstreamTooSlow  504
"""

from collections.abc import Mapping
from http import HTTPStatus
from types import MappingProxyType
from typing import ClassVar


class ApiError(Exception):
    """Base of all errors that the reference API raises on purpose."""


class ConfigurationError(ApiError):
    """The environment is not usable; nothing was started."""


class MigrationError(ApiError):
    """The database is not at the newest schema."""


class MailDelayed(ApiError):
    """The mail server did not take a mail now; it may later."""


class MailRefused(ApiError):
    """The mail server does not want this mail; trying again would not help."""


class Problem(ApiError):
    """Raise one anywhere below a route. The first line of a class's docstring is its text in the documentation."""

    status: ClassVar[HTTPStatus]
    headers: Mapping[str, str] = MappingProxyType({})
    """Of its class, or of this one."""


class InvalidRequest(Problem):
    """The request is not valid; the detail names the field."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY


class InvalidCredentials(Problem):
    """No account has this name and password."""

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class InvalidToken(Problem):
    """The bearer token is missing, forged, expired or revoked."""

    status = HTTPStatus.UNAUTHORIZED
    headers = MappingProxyType({"WWW-Authenticate": 'Bearer error="invalid_token"'})


class NotFound(Problem):
    """There is no such thing."""

    status = HTTPStatus.NOT_FOUND


class SkuTaken(Problem):
    """There is an item with this stock keeping unit."""

    status = HTTPStatus.CONFLICT


class EmailTaken(Problem):
    """There is an account with this email."""

    status = HTTPStatus.CONFLICT


class ContentTooLarge(Problem):
    """The body is too large."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class TooManyRequests(Problem):
    """Asked too often; `Retry-After` says when to try again."""

    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, detail: str, headers: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.headers = headers


class UpstreamFailed(Problem):
    """The service that this response comes from is down, or sent nonsense."""

    status = HTTPStatus.BAD_GATEWAY


class Unavailable(Problem):
    """A database did not respond in time. Try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    headers = MappingProxyType({"Retry-After": "1"})


class NotConfigured(Problem):
    """This installation has no such backend; the detail names the setting."""

    status = HTTPStatus.SERVICE_UNAVAILABLE


class Busy(Problem):
    """All processes compute and as many requests wait as may; `Retry-After` says when to try again."""

    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, detail: str, retry_after_seconds: float) -> None:
        super().__init__(detail)
        self.headers = {"Retry-After": f"{retry_after_seconds:.0f}"}


class UpstreamTooSlow(Problem):
    """The service that this response comes from did not respond within the deadline."""

    status = HTTPStatus.GATEWAY_TIMEOUT
