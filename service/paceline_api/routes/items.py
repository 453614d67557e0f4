"""Items in PostgreSQL by SQLAlchemy's ORM: one session and one transaction a request, ended before the response."""

from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from paceline_api import models
from paceline_api.errors import InvalidRequest, NotFound, SkuTaken, Unavailable
from paceline_api.routes.dependencies import SessionDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.headers import LOCATION
from paceline_api.schemas.items import Item, ItemPage, NewItem

router = APIRouter(tags=["items"], responses=documented(InvalidRequest, Unavailable))


@router.get("/items")
async def list_items(
    session: SessionDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[int, Query(ge=0, lt=2**63, description="`next` of the page before.")] = 0,
) -> ItemPage:
    """One page by ascending id, after the id given. Pages stay right while items come and go."""
    found = await session.scalars(
        select(models.Item).where(models.Item.id > after).order_by(models.Item.id).limit(limit)
    )
    items = [Item.model_validate(item) for item in found]
    return ItemPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/items", status_code=201, responses={**LOCATION, **documented(SkuTaken)})
async def create_item(new: NewItem, session: SessionDep, response: Response) -> Item:
    """Stores an item. `Location` says where it is."""
    item = models.Item(**new.model_dump())
    session.add(item)
    try:
        await session.flush()
    except IntegrityError as error:
        raise SkuTaken(f"there is an item {new.sku} already") from error
    response.headers["Location"] = f"/items/{item.id}"
    return Item.model_validate(item)


@router.get("/items/{item_id}", responses=documented(NotFound))
async def read_item(item_id: Annotated[int, Path(ge=1, lt=2**63)], session: SessionDep) -> Item:
    """One item."""
    item = await session.get(models.Item, item_id)
    if item is None:
        raise NotFound(f"there is no item {item_id}")
    return Item.model_validate(item)
