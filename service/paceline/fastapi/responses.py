"""From what an endpoint returns to a response: validated and serialized by the route's response field."""

from collections.abc import Awaitable, Callable
from contextvars import copy_context
from typing import Any, Final

from fastapi.datastructures import DefaultPlaceholder
from fastapi.dependencies.models import _is_coroutine_callable
from fastapi.exceptions import EndpointContext, ResponseValidationError
from fastapi.routing import _build_response_args, serialize_response
from fastapi.utils import is_body_allowed_for_status_code
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from paceline.fastapi.fields import Check, checking, serializing
from paceline.fastapi.parameters import Values
from paceline.fastapi.plain_json import is_plain, is_written_as_usual, written
from paceline.fastapi.solving import Solving, response_of

Respond = Callable[[Solving, Values], Awaitable[Response]]
Context = Callable[[Request], EndpointContext]
Checked = tuple[Any, Any, list[Any]]

_JSON: Final = (b"content-type", b"application/json")


class JSONBytes(Response):
    """JSON that is bytes already, with no header but its length and type, and no background task."""

    media_type = "application/json"
    background = None

    def __init__(self, body: bytes, status_code: int) -> None:
        self.status_code = status_code
        self.body = body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), _JSON]


def respond_with(route: Any, context: Context) -> Respond:
    """What calls the endpoint and makes the response."""
    if route.response_field is None or not isinstance(route.response_class, DefaultPlaceholder):
        return _by_response_class(route, context)
    call, check = route.dependant.call, checking(route.response_field, ("response",))
    finish = _finishing(route, context)
    if not _is_coroutine_callable(call):
        return _from_thread(call, check, finish)

    async def respond(solving: Solving, values: Values) -> Response:
        result = await call(**values)
        return finish(solving, result, *(_NOTHING if isinstance(result, Response) else check(result)))

    return respond


_NOTHING: Final[tuple[None, list[Any]]] = (None, [])


def _from_thread(call: Callable[..., Any], check: Check, finish: Callable[..., Response]) -> Respond:
    """The response is checked in the thread that the endpoint ran in: FastAPI asks for a second one."""

    def called(values: Values) -> Checked:
        surroundings = copy_context()  # validators do not see what the endpoint sets there, as in a thread of their own
        result = call(**values)
        return result, *(_NOTHING if isinstance(result, Response) else surroundings.run(check, result))

    async def respond(solving: Solving, values: Values) -> Response:
        return finish(solving, *(await run_in_threadpool(called, values)))

    return respond


def _finishing(route: Any, context: Context) -> Callable[..., Response]:
    """A response from a result that was checked."""
    serialize = serializing(route.response_field, _options(route))
    status, has_body = route.status_code or 200, is_body_allowed_for_status_code(route.status_code)

    def finish(solving: Solving, result: Any, checked: Any, errors: list[Any]) -> Response:
        if isinstance(result, Response):
            return _with_background(result, solving)
        if errors:
            raise ResponseValidationError(errors=errors, body=result, endpoint_ctx=context(solving.request))
        content = serialize(checked)
        if has_body and solving.is_untouched():
            return JSONBytes(content, status)
        set_by_others = response_of(solving)
        arguments = _build_response_args(status_code=route.status_code, solved_result=solving)
        response = Response(content=content, media_type="application/json", **arguments)
        return _completed(response, set_by_others)

    return finish


def _with_background(response: Response, solving: Solving) -> Response:
    if response.background is None:
        response.background = solving.background_tasks
    return response


def _completed(response: Response, set_by_others: Response) -> Response:
    if not is_body_allowed_for_status_code(response.status_code):
        response.body = b""
    response.headers.raw.extend(set_by_others.headers.raw)
    return response


def _by_response_class(route: Any, context: Context) -> Respond:
    """No response field, or a response class that was chosen: FastAPI's own functions make content and response."""
    call, is_coroutine = route.dependant.call, _is_coroutine_callable(route.dependant.call)
    chosen, options = route.response_class, _options(route)
    response_class = chosen.value if isinstance(chosen, DefaultPlaceholder) else chosen
    status = route.status_code or 200
    may_be_plain = (
        route.response_field is None
        and is_written_as_usual(response_class)
        and is_body_allowed_for_status_code(route.status_code)
    )

    async def respond(solving: Solving, values: Values) -> Response:
        result = await call(**values) if is_coroutine else await run_in_threadpool(call, **values)
        if isinstance(result, Response):
            return _with_background(result, solving)
        if may_be_plain and solving.is_untouched() and is_plain(result):
            return JSONBytes(written(result), status)
        set_by_others = response_of(solving)
        arguments = _build_response_args(status_code=route.status_code, solved_result=solving)
        content = await serialize_response(
            field=route.response_field,
            response_content=result,
            is_coroutine=is_coroutine,
            endpoint_ctx=context(solving.request),
            **options,
        )
        return _completed(response_class(content, **arguments), set_by_others)

    return respond


def _options(route: Any) -> dict[str, Any]:
    return {
        "include": route.response_model_include,
        "exclude": route.response_model_exclude,
        "by_alias": route.response_model_by_alias,
        "exclude_unset": route.response_model_exclude_unset,
        "exclude_defaults": route.response_model_exclude_defaults,
        "exclude_none": route.response_model_exclude_none,
    }
