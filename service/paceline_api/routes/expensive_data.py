"""A report that costs the database a hundred thousand comparisons: computed rarely, kept in memory and in Redis."""

from time import monotonic
from typing import Final

import asyncpg
import orjson
from fastapi import APIRouter, Response
from paceline import tune

from paceline_api.errors import Unavailable
from paceline_api.routes.dependencies import PostgresDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.expensive_data import SpreadReport

router = APIRouter(tags=["expensive data"])

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


@tune.cache(name="responses", ttl=300, max_staleness=3600, key="expensive-data")
async def spread_report(postgres: asyncpg.Pool) -> bytes:
    """The finished body: what is kept needs no more work."""
    rows = await postgres.fetch(_SPREAD)
    return orjson.dumps({"categories": [dict(row) for row in rows]})


@router.get("/expensive-data", response_model=SpreadReport, responses=documented(Unavailable))
async def expensive_data(postgres: PostgresDep) -> Response:
    """How far prices lie apart, by category. `Age` and `Cache-Status` say how old the answer is and whence."""
    asked = monotonic()
    body = await spread_report(postgres)
    age = spread_report.age(postgres) or 0.0
    status = "paceline; hit" if age > monotonic() - asked else "paceline; fwd=miss; stored"
    return Response(body, headers={"Age": str(int(age)), "Cache-Status": status}, media_type="application/json")
