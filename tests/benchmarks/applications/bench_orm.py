"""A list as most tutorials write it: ORM objects, a session dependency, FastAPI's own encoder."""

import os
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from sqlalchemy import make_url, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

url = make_url(os.environ["DATABASE_URL"]).set(drivername="postgresql+asyncpg")
sessions = async_sessionmaker(create_async_engine(url, pool_size=5, max_overflow=0))
app = FastAPI(openapi_url=None)


class Base(DeclarativeBase):
    pass


class Product(Base):
    __tablename__ = "products"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    category: Mapped[str]
    price_cents: Mapped[int]


async def _session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


@app.get("/")
async def ready() -> dict[str, str]:
    return {}


@app.get("/products")
async def list_products(
    session: Annotated[AsyncSession, Depends(_session)], limit: int = 20, after: int = 0
) -> JSONResponse:
    query = select(Product).where(Product.id > after).order_by(Product.id).limit(limit)
    products = (await session.scalars(query)).all()
    page: dict[str, Any] = {"items": products, "next": products[-1].id if len(products) == limit else None}
    return JSONResponse(jsonable_encoder(page))
