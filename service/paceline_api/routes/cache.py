"""Bytes in Redis, for as long as the client says."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.requests import ClientDisconnect

from paceline_api.errors import ContentTooLarge, InvalidRequest, NotFound, Unavailable
from paceline_api.routes.dependencies import RedisDep
from paceline_api.schemas.errors import documented

router = APIRouter(tags=["cache"], responses=documented(InvalidRequest, Unavailable))

MAX_VALUE_BYTES: Final = 64 * 1024
_PREFIX: Final = "cache:"  # clients reach their own keys only, never what else is stored there
_BYTES: Final = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

Key = Annotated[str, Path(pattern=r"^[A-Za-z0-9._:-]{1,200}$")]


@router.get("/cache/{key}", response_class=Response, responses={200: {"content": _BYTES}, **documented(NotFound)})
async def read_value(key: Key, redis: RedisDep) -> Response:
    """The bytes stored under the key."""
    value = await redis.get(_PREFIX + key)
    if value is None:
        raise NotFound(f"nothing is stored under {key!r}, or its time is over")
    return Response(value, media_type="application/octet-stream")


@router.put(
    "/cache/{key}",
    status_code=204,
    responses=documented(ContentTooLarge),
    openapi_extra={"requestBody": {"required": False, "content": _BYTES}},
)
async def store_value(
    key: Key, request: Request, redis: RedisDep, ttl: Annotated[int, Query(ge=1, le=86_400)] = 300
) -> None:
    """Stores the body, at most 64 KiB of it, for `ttl` seconds."""
    await redis.set(_PREFIX + key, await _body(request), ex=ttl)


async def _body(request: Request) -> bytes:
    """Reads no more than is allowed, whatever length the client announced."""
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_VALUE_BYTES:
                raise ContentTooLarge(f"a value has at most {MAX_VALUE_BYTES} bytes")
    except ClientDisconnect as error:
        raise InvalidRequest("the connection ended before the body was complete") from error
    return bytes(body)
