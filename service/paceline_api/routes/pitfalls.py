"""The mistakes of `paceline_api.pitfalls` as routes, next to their cures. 404 unless `API_PITFALLS_ENABLED` is set."""

from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Depends, Query, Request

from paceline_api import pitfalls
from paceline_api.errors import NotFound


async def _switched_on(request: Request) -> None:
    if not request.state.pitfalls:
        raise NotFound("pitfalls are switched off: API_PITFALLS_ENABLED")


router = APIRouter(prefix="/pitfalls", include_in_schema=False, dependencies=[Depends(_switched_on)])

Seconds = Annotated[float, Query(ge=0, le=5)]


@router.get("/blocking", status_code=204)
async def blocking(seconds: Seconds = 1.0) -> None:
    await pitfalls.blocking(seconds)


@router.get("/blocking/in-a-thread", status_code=204)
async def blocking_in_a_thread(seconds: Seconds = 1.0) -> None:
    await pitfalls.blocking_in_a_thread(seconds)


@router.get("/blocking/waiting", status_code=204)
async def waiting(seconds: Seconds = 1.0) -> None:
    await pitfalls.waiting(seconds)


@router.get("/forgotten-await")
async def forgotten_await() -> dict[str, bool]:
    return await _saved(pitfalls.forgotten_await)


@router.get("/forgotten-await/awaited")
async def awaited() -> dict[str, bool]:
    return await _saved(pitfalls.awaited)


async def _saved(save: Callable[[str], Awaitable[None]]) -> dict[str, bool]:
    """Whether it is there afterwards."""
    note = uuid4().hex
    await save(note)
    saved = note in pitfalls.notes
    pitfalls.notes.clear()
    return {"saved": saved}
