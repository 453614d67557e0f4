"""The one place where an error becomes a response: `{"error", "detail", "request_id"}`."""

import logging
from collections.abc import Mapping
from http import HTTPMethod, HTTPStatus

import orjson
import redis.exceptions
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.routing import Match

from paceline_api.errors import InvalidRequest, Problem, Unavailable
from paceline_api.unavailable import UNAVAILABLE, is_unavailable

logger = logging.getLogger(__name__)


def problem(
    request: Request, status: int, error: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    """The body of every response that is not a success."""
    content = {"error": error, "detail": detail, "request_id": request.state.request_id}
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def response_of(request: Request, error: Problem) -> Response:
    """A problem as a response, for middleware in front of the handlers."""
    return problem(request, error.status, type(error).__name__, str(error), error.headers)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    if error.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        logger.warning("%s %s: %s (%r)", request.method, request.url.path, error, error.__cause__)
    return response_of(request, error)


async def _unavailable(request: Request, error: Exception) -> Response:
    logger.warning("%s %s: %s: %s", request.method, request.url.path, type(error).__name__, error)
    detail = "a database did not respond in time; try again"
    return problem(request, Unavailable.status, Unavailable.__name__, detail, Unavailable.headers)


async def _sqlalchemy(request: Request, error: Exception) -> Response:
    """SQLAlchemy wraps what the driver raised in its own; what it was decides."""
    assert isinstance(error, DBAPIError)
    causes = (error.orig, getattr(error.orig, "__cause__", None))
    if any(cause is not None and is_unavailable(cause) for cause in causes):
        return await _unavailable(request, error)
    raise error


async def _redis(request: Request, error: Exception) -> Response:
    """Redis returned an error: 503 where it takes nothing now, else a bug of ours."""
    if is_unavailable(error):
        return await _unavailable(request, error)
    raise error


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return problem(request, InvalidRequest.status, InvalidRequest.__name__, f"{where}: {first['msg']}")


async def _http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses."""
    assert isinstance(error, HTTPException)
    if error.status_code == HTTPStatus.BAD_REQUEST:  # a body that cannot even be decoded
        return problem(request, InvalidRequest.status, InvalidRequest.__name__, f"body: {error.detail}")
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_allowed(request))
    name = HTTPStatus(error.status_code).phrase.title().replace(" ", "").replace("-", "")
    return problem(request, error.status_code, name, str(error.detail), headers)


def _allowed(request: Request) -> list[str]:
    """The methods of all routes of this path; Starlette names those of the first one."""
    routes = request.app.routes
    scopes = ({**request.scope, "method": str(method)} for method in HTTPMethod)
    return [scope["method"] for scope in scopes if any(route.matches(scope)[0] is Match.FULL for route in routes)]


async def _internal(request: Request, error: Exception) -> Response:
    return problem(request, 500, "InternalError", "the server failed; the request id finds the reason in its log")


def handle_errors(app: FastAPI) -> None:
    """Registers the handlers of everything above."""
    app.add_exception_handler(Problem, _problem)
    for kind in UNAVAILABLE:
        app.add_exception_handler(kind, _unavailable)
    app.add_exception_handler(DBAPIError, _sqlalchemy)
    app.add_exception_handler(redis.exceptions.ResponseError, _redis)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _internal)
