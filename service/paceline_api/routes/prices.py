"""Prices as they change, by WebSocket. See `prices` for how they get here."""

import asyncio
from contextlib import suppress
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from paceline_api import cancellation
from paceline_api.prices import PriceFeed, Subscriber

router = APIRouter()

_TRY_AGAIN_LATER: Final = 1013


@router.websocket("/ws/prices")
async def prices(websocket: WebSocket) -> None:
    """Every price from now on. Closed with 1012 when its worker goes: connect again, to another one."""
    with suppress(WebSocketDisconnect):  # it may leave before it was accepted, or while it is refused
        await websocket.accept()
        await _serve(websocket, websocket.state.prices)


async def _serve(websocket: WebSocket, feed: PriceFeed) -> None:
    if feed.is_full:
        await websocket.close(_TRY_AGAIN_LATER, "this worker has enough clients")
        return
    async with feed.subscribed() as subscriber:
        sending = asyncio.create_task(_send(websocket, subscriber))
        leaving = asyncio.create_task(_left(websocket))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await cancellation.end(sending, leaving)
    if not sending.cancelled():
        sending.result()


async def _left(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass  # clients have nothing to say


async def _send(websocket: WebSocket, subscriber: Subscriber) -> None:
    while True:
        for message in await subscriber.take():
            await websocket.send_text(message)  # waits while the client does not read
