"""A Quart application: what it opens before serving, a route with a parameter, a streamed answer, error handling."""

from collections.abc import AsyncIterator
from typing import Any

from quart import Quart, abort, current_app

app = Quart(__name__)


@app.before_serving
async def start() -> None:
    app.config["GREETING"] = "hello"


@app.get("/greet/<name>")
async def greet(name: str) -> dict[str, Any]:
    return {"greeting": f"{current_app.config['GREETING']} {name}"}


@app.get("/stream")
async def stream() -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d\n" % number

    return pieces()


@app.get("/refuse")
async def refuse() -> None:
    abort(418)
