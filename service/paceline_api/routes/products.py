"""Products, page by page. A hot path: rows go to the client without being validated a second time."""

from typing import Annotated, Final

import orjson
from fastapi import APIRouter, Query, Response

from paceline_api.errors import InvalidRequest, Unavailable
from paceline_api.routes.dependencies import PostgresDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.products import ProductPage

router = APIRouter(tags=["products"])

_PAGE: Final = "SELECT id, name, category, price_cents FROM products WHERE id > $1 ORDER BY id LIMIT $2"


@router.get("/products", response_model=ProductPage, responses=documented(InvalidRequest, Unavailable))
async def list_products(
    postgres: PostgresDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[int, Query(ge=0, lt=2**63)] = 0,
) -> Response:
    """One page by ascending id, after the id given. Pages stay right while products come and go."""
    rows = await postgres.fetch(_PAGE, after, limit)
    page = {"items": [dict(row) for row in rows], "next": rows[-1]["id"] if len(rows) == limit else None}
    # response_model is documentation here: validating rows that the database has typed costs more than the query.
    return Response(orjson.dumps(page), media_type="application/json")
