"""Why a route cannot be compiled, if so: FastAPI's version, what integrations replaced, what the endpoint does."""

import inspect
import logging
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any, Final

import fastapi
from fastapi import routing

TESTED: Final = ("0.165",)
"""Minor versions of FastAPI whose own test suite passes with compiled routes: `make fastapi-suite`."""
_WATCHED: Final = (
    "get_request_handler",
    "jsonable_encoder",
    "request_response",
    "run_endpoint_function",
    "serialize_response",
    "solve_dependencies",
)
"""Functions of `fastapi.routing` that integrations replace to see every request; compiled routes pass some by."""

_log = logging.getLogger(__name__)


def reason_against(endpoint: Callable[..., Any]) -> str | None:
    """Why a route with this endpoint is left to FastAPI; None if it can be compiled."""
    return _version_reason() or _replaced() or _streams(endpoint)


def untested(version: str) -> str | None:
    """Why nothing is compiled with this version of FastAPI; None if it is one of those tested."""
    if ".".join(version.split(".")[:2]) in TESTED:
        return None
    return f"FastAPI {version} is not among the versions tested: {', '.join(f'{each}.*' for each in TESTED)}"


def is_tested() -> bool:
    """Whether FastAPI's private names are where they were."""
    return _version_reason() is None


@cache
def _version_reason() -> str | None:
    """Of the FastAPI that is installed; said once in the log."""
    reason = untested(fastapi.__version__)
    if reason:
        _log.warning("no route is compiled: %s; FastAPI runs them all", reason)
    return reason


def _replaced() -> str | None:
    """Sentry, New Relic and Datadog put their functions in the place of FastAPI's."""
    for name in _WATCHED:
        function = getattr(routing, name, None)
        if type(function) is not FunctionType or not function.__globals__["__name__"].startswith("fastapi."):
            return f"an integration has replaced fastapi.routing.{name}, which a compiled route would pass by"
    return None


def _streams(endpoint: Callable[..., Any]) -> str | None:
    call = inspect.unwrap(endpoint)
    while hasattr(call, "func"):
        call = call.func  # functools.partial
    callables = (call, getattr(call, "__call__", None))  # noqa: B004  its code is asked for, not whether there is some
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in callables):
        return "its endpoint yields what FastAPI streams"
    return None
