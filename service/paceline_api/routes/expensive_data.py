"""A report that costs the database a hundred thousand comparisons: computed rarely: `CACHED` keeps the response."""

from typing import Final

import orjson
from fastapi import APIRouter, Response
from paceline.middleware import CachedRoute

from paceline_api.errors import Unavailable
from paceline_api.routes.dependencies import PostgresDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.expensive_data import SpreadReport
from paceline_api.schemas.headers import CACHE_HEADERS

router = APIRouter(tags=["expensive data"])

CACHED: Final = {"/expensive-data": CachedRoute(name="responses", ttl=300, max_staleness=3600)}
"""Cached in memory and in Redis; `app` puts it in front of the framework."""

_SPREAD: Final = """
SELECT category,
       count(DISTINCT one.id) AS products,
       avg(one.price_cents)::float8 AS mean_price_cents,
       avg(abs(one.price_cents - other.price_cents))::float8 AS mean_difference_cents,
       (avg(abs(one.price_cents - other.price_cents)) / (2 * avg(one.price_cents)))::float8 AS gini
FROM products AS one JOIN products AS other USING (category)
GROUP BY category
ORDER BY gini DESC, category
"""


@router.get("/expensive-data", response_model=SpreadReport, responses={**CACHE_HEADERS, **documented(Unavailable)})
async def expensive_data(postgres: PostgresDep) -> Response:
    """How far prices lie apart, by category. `Age` and `Cache-Status` say how old the response is and its source."""
    rows = await postgres.fetch(_SPREAD)
    return Response(orjson.dumps({"categories": [dict(row) for row in rows]}), media_type="application/json")
