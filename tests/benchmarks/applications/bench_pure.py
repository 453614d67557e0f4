"""What `bench_guide` does, in pure ASGI."""

from fastapi import FastAPI
from paceline.middleware import ProcessTimeMiddleware, RequestIdMiddleware
from starlette.middleware import Middleware

app = FastAPI(openapi_url=None, middleware=[Middleware(RequestIdMiddleware), Middleware(ProcessTimeMiddleware)])


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
