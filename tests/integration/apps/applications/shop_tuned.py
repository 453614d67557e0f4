"""An application as many are: async SQLAlchemy with Alembic, Redis, httpx, sync routes, metrics, its own lifespan."""

import hashlib
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypedDict

import httpx
from fastapi import Depends, FastAPI, HTTPException, Request
from paceline import tune
from prometheus_fastapi_instrumentator import Instrumentator
from pydantic import BaseModel
from redis.asyncio import Redis
from sqlalchemy import func, make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

DATABASE_URL = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")

engine = tune.pool(create_async_engine(DATABASE_URL, pool_size=20, max_overflow=0), name="postgres", limit=5)
redis = tune.pool(Redis.from_url(os.environ["REDIS_URL"], max_connections=50), name="redis", limit=10)
sessions = async_sessionmaker(engine, expire_on_commit=False)


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "shop_orders"

    id: Mapped[int] = mapped_column(primary_key=True)
    customer: Mapped[str]
    cents: Mapped[int]


class NewOrder(BaseModel):
    customer: str
    cents: int


class State(TypedDict):
    rates: httpx.AsyncClient


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[State]:
    async with httpx.AsyncClient(base_url=os.environ["RATES_URL"], timeout=5) as rates:
        yield {"rates": rates}
    await redis.aclose()
    await engine.dispose()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]
app = FastAPI(lifespan=lifespan)
Instrumentator().instrument(app).expose(app)


@app.post("/orders", status_code=201)
async def create(order: NewOrder, session: Session) -> dict[str, Any]:
    row = Order(customer=order.customer, cents=order.cents)
    session.add(row)
    await session.commit()
    await redis.delete(f"turnover:{order.customer}")
    return {"id": row.id}


@app.get("/orders/{number}")
async def read(number: int, session: Session) -> dict[str, Any]:
    row = await session.get(Order, number)
    if row is None:
        raise HTTPException(404, "no such order")
    return {"id": row.id, "customer": row.customer, "cents": row.cents}


@app.get("/turnover/{customer}")
async def turnover(customer: str, session: Session) -> dict[str, Any]:
    kept = await redis.get(f"turnover:{customer}")
    if kept is None:
        query = select(func.coalesce(func.sum(Order.cents), 0)).where(Order.customer == customer)
        kept = json.dumps(await session.scalar(query))
        await redis.set(f"turnover:{customer}", kept, ex=60)
    return {"customer": customer, "cents": json.loads(kept)}


@tune.cache(name="rates", ttl=60, max_staleness=300, key="rate:{currency}", redis=redis)
async def fetch_rate(rates: httpx.AsyncClient, currency: str) -> dict[str, Any]:
    response = await rates.get(f"/{currency}")
    response.raise_for_status()
    return dict(response.json())


@app.get("/rate/{currency}")
async def rate(currency: str, request: Request) -> dict[str, Any]:
    return await fetch_rate(request.state.rates, currency)


@app.get("/receipt/{number}")
def receipt(number: int) -> dict[str, str]:
    return {"seal": hashlib.sha256(b"%d" % number).hexdigest()}
