"""Prices as they change, by WebSocket. See `prices` for how they get here."""

import asyncio
from typing import Final

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from paceline_api.prices import PriceFeed, Subscriber

router = APIRouter()

_TRY_AGAIN_LATER: Final = 1013


@router.websocket("/ws/prices")
async def prices(websocket: WebSocket) -> None:
    """Every price from now on. Closed with 1012 when its worker goes: connect again, to another one."""
    feed: PriceFeed = websocket.state.prices
    await websocket.accept()
    if feed.is_full:
        await websocket.close(_TRY_AGAIN_LATER, "this worker has enough clients")
        return
    async with feed.subscribed() as subscriber:
        await _send_until_closed(websocket, subscriber)


async def _send_until_closed(websocket: WebSocket, subscriber: Subscriber) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            sending = group.create_task(_send(websocket, subscriber))
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass  # clients have nothing to say
            sending.cancel()
    except* WebSocketDisconnect:
        pass  # found out while sending


async def _send(websocket: WebSocket, subscriber: Subscriber) -> None:
    while True:
        for message in await subscriber.take():
            await websocket.send_text(message)  # waits while the client does not read
