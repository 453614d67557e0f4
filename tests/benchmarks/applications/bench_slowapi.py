"""The same limit by slowapi, as its documentation has it."""

import logging
import os

from fastapi import FastAPI, Request, Response
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from slowapi.util import get_remote_address

logging.getLogger("slowapi").setLevel(logging.ERROR)  # else it writes a line for each request that it refuses

limiter = Limiter(key_func=get_remote_address, storage_uri=os.environ["REDIS_URL"], headers_enabled=True)
app = FastAPI(openapi_url=None)
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/api/data")
@limiter.limit(os.environ["BENCH_LIMIT"])
async def data(request: Request, response: Response) -> dict[str, int]:
    return {"value": 42}
