"""What `bench_guide` does, in pure ASGI."""

from fastapi import FastAPI
from paceline.middleware import ProcessTime, RequestId
from starlette.middleware import Middleware

app = FastAPI(openapi_url=None, middleware=[Middleware(RequestId), Middleware(ProcessTime)])


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
