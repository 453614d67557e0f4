"""A route that clients may ask a hundred times a minute. The middleware in front of it counts; see `rate_limit`."""

from fastapi import APIRouter

from paceline_api.errors import TooManyRequests, Unavailable
from paceline_api.schemas.data import DataPoint
from paceline_api.schemas.errors import documented

router = APIRouter(tags=["rate limit"], responses=documented(TooManyRequests, Unavailable))


@router.get("/api/data")
async def data() -> DataPoint:
    """Something cheap. `RateLimit` says how many requests are left, and for how long."""
    return DataPoint(value=42)
