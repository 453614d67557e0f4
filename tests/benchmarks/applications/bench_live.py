"""A service whose service times are set: half the CPU time, a query that waits, the other half, as the simulator has
it."""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import log, sqrt
from random import Random

import asyncpg
from fastapi import FastAPI
from paceline import tune

CPU_SECONDS = float(os.environ["BENCH_CPU_SECONDS"])
CPU_SIGMA = sqrt(log(1 + float(os.environ["BENCH_CPU_CV"]) ** 2))
QUERY_SECONDS = float(os.environ["BENCH_QUERY_SECONDS"])
QUERY_SIGMA = sqrt(log(1 + float(os.environ["BENCH_QUERY_CV"]) ** 2))
POOL = int(os.environ["BENCH_POOL"])
CAP = 40

drawn = Random()


def times(mean: float, sigma: float) -> float:
    """A lognormal time with this mean."""
    return mean * drawn.lognormvariate(-sigma * sigma / 2, sigma)


def compute(seconds: float) -> None:
    """Uses this much CPU time, however long that takes."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    drawn.seed()  # workers are forked
    made = await asyncpg.create_pool(os.environ["DATABASE_URL"], min_size=0, max_size=CAP)
    async with tune.pool(made, name="postgres", limit=POOL) as pool:
        app.state.pool = pool
        yield


app = FastAPI(openapi_url=None, lifespan=lifespan)


@app.get("/")
async def index() -> dict[str, str]:
    return {}


@app.get("/work")
async def work() -> dict[str, str]:
    half = times(CPU_SECONDS, CPU_SIGMA) / 2
    compute(half)
    async with app.state.pool.acquire() as connection:
        await connection.fetchval("SELECT pg_sleep($1)", times(QUERY_SECONDS, QUERY_SIGMA))
        compute(half)
    return {}
