"""The body of a request: read as FastAPI reads it, checked by what its declaration says."""

import email.message
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import lru_cache
from typing import Any, Final

from fastapi import params
from fastapi._body_limit import get_body_limit_error
from fastapi._compat import ModelField, Undefined
from fastapi.dependencies.models import Dependant
from fastapi.dependencies.utils import _get_form_models, _should_embed_body_fields, request_body_to_args
from fastapi.exceptions import EndpointContext, RequestValidationError
from fastapi.routing import _FASTAPI_SCOPE_KEY, _resolve_form_limits
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.middleware.body_limit import MAX_BODY_SIZE_SCOPE_KEY
from starlette.requests import Request

from paceline.asgi import Message
from paceline.fastapi.parameters import Errors, Values, validation
from paceline.fastapi.solving import FILES_STACK

Receive = Callable[[Request], Awaitable[Any]]
Context = Callable[[Request], EndpointContext]
ReadBody = Callable[[Any, Values, Errors], Awaitable[None]]

_LONGEST_REMEMBERED: Final = 100  # characters of a content type: clients write what they like
_UNREADABLE: Final = "There was an error parsing the body"


def receiver(field: ModelField | None, *, strict: bool, form_limits: Any, context: Context) -> Receive | None:
    """What receives the whole body; None for a route without one."""
    if field is None:
        return None
    receive = _form(form_limits) if isinstance(field.field_info, params.Form) else _json_or_bytes(strict=strict)

    async def received(request: Request) -> Any:
        try:
            return await receive(request)
        except json.JSONDecodeError as error:
            raise _not_json(error, context(request)) from error
        except HTTPException:
            raise
        except Exception as error:
            if MAX_BODY_SIZE_SCOPE_KEY in request.scope and (too_large := get_body_limit_error(error)):
                raise too_large from error
            raise HTTPException(status_code=400, detail=_UNREADABLE) from error

    return received


def _form(limits: Any) -> Receive:
    async def receive(request: Request) -> Any:
        form = await request.form(**_resolve_form_limits(request.scope.get(_FASTAPI_SCOPE_KEY, {}), limits))
        files: AsyncExitStack = request.scope[FILES_STACK]
        files.push_async_callback(form.close)
        return form

    return receive


def _json_or_bytes(*, strict: bool) -> Receive:
    async def receive(request: Request) -> Any:
        body = await _whole(request)
        if not body:
            return Undefined
        content_type = request.headers.get("content-type")
        is_json = _is_json(content_type) if content_type else not strict
        return await request.json() if is_json else body

    return receive


async def _whole(request: Request) -> bytes:
    """As `Request.body`, which goes through two generators for what is nearly always one message."""
    if type(request) is not Request or hasattr(request, "_body") or request._stream_consumed:
        return await request.body()
    message = await request.receive()
    if message["type"] != "http.request" or message.get("more_body", False):
        return await _rest(request, message)
    request._stream_consumed = True
    request._body = message.get("body", b"")
    return request._body


async def _rest(request: Request, first: Message) -> bytes:
    """The body whose first message was taken from Starlette."""
    taken, receive = [first], request._receive

    async def again() -> Message:
        return taken.pop() if taken else await receive()

    request._receive = again
    return await request.body()


def _is_json(content_type: str) -> bool:
    return (_judged if len(content_type) <= _LONGEST_REMEMBERED else _judge)(content_type)


def _judge(content_type: str) -> bool:
    message = email.message.Message()
    message["content-type"] = content_type
    subtype = message.get_content_subtype()
    return message.get_content_maintype() == "application" and (subtype == "json" or subtype.endswith("+json"))


_judged = lru_cache(maxsize=64)(_judge)


def _not_json(error: json.JSONDecodeError, context: EndpointContext) -> RequestValidationError:
    found = {
        "type": "json_invalid",
        "loc": ("body", error.pos),
        "msg": "JSON decode error",
        "input": {},
        "ctx": {"error": error.msg},
    }
    return RequestValidationError([found], body=error.doc, endpoint_ctx=context)


def body_reader(dependant: Dependant, *, embed: bool) -> ReadBody | None:
    """What takes the parameters of one dependency, or of the endpoint, from the body; None if it has none there."""
    fields = dependant.body_params
    if not fields:
        return None

    async def read(body: Any, values: Values, errors: Errors) -> None:
        found, wrong = await request_body_to_args(body_fields=fields, received_body=body, embed_body_fields=embed)
        values.update(found)
        errors.extend(wrong)

    if len(fields) > 1 or embed or _should_embed_body_fields(fields) or _get_form_models(fields[0]):
        return read
    validate = validation(fields[0], ("body",))

    async def read_whole(body: Any, values: Values, errors: Errors) -> None:
        if isinstance(body, FormData):
            await read(body, values, errors)
        else:
            validate(body, values, errors)

    return read_whole
