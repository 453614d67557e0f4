"""Everything that can go wrong, and the one place where it becomes an answer: `{"error", "detail", "request_id"}`.

ApiError
├── ConfigurationError   the process cannot start with this environment
├── MigrationError       the database could not be brought to the newest schema
├── NotFound             what the client asked for does not exist
└── TooLarge             what the client sent is more than we take
"""

import logging
from http import HTTPStatus
from typing import Final

import asyncpg
import orjson
import redis.exceptions
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

logger = logging.getLogger(__name__)


class ApiError(Exception):
    """Base of all errors that the reference API raises on purpose."""


class ConfigurationError(ApiError):
    """The environment is not usable; nothing was started."""


class MigrationError(ApiError):
    """The database is not at the newest schema."""


class NotFound(ApiError):
    """Answered with 404; the message is the detail."""


class TooLarge(ApiError):
    """Answered with 413; the message is the detail."""


UNAVAILABLE: Final = (
    OSError,  # nothing listens, name not found, connection reset; TimeoutError and AcquireTimeout are OSErrors
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.InterfaceError,
    redis.exceptions.ConnectionError,
    redis.exceptions.TimeoutError,
)
"""What drivers raise when a database is down, full or too slow: not a bug of ours, and worth another try."""


def problem(request: Request, status: int, error: str, detail: str, headers: dict[str, str] | None = None) -> Response:
    """The body of every answer that is not a success."""
    content = {"error": error, "detail": detail, "request_id": request.state.request_id}
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


async def _unavailable(request: Request, error: Exception) -> Response:
    logger.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    detail = "a database did not answer in time; try again"
    return problem(request, 503, "Unavailable", detail, {"Retry-After": "1"})


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(request, 422, "InvalidRequest", f"{where}: {first['msg']}")


async def _not_found(request: Request, error: Exception) -> Response:
    return problem(request, 404, "NotFound", str(error))


async def _too_large(request: Request, error: Exception) -> Response:
    return problem(request, 413, "ContentTooLarge", str(error))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    name = HTTPStatus(error.status_code).phrase.title().replace(" ", "").replace("-", "")
    return problem(request, error.status_code, name, str(error.detail), dict(error.headers or {}))


async def _internal(request: Request, error: Exception) -> Response:
    return problem(request, 500, "InternalError", "the server failed; the request id finds the reason in its log")


def handle_errors(app: FastAPI) -> None:
    """Registers the handlers of everything above."""
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(NotFound, _not_found)
    app.add_exception_handler(TooLarge, _too_large)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
