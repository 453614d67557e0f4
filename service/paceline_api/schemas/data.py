"""What /api/data returns."""

from pydantic import BaseModel


class DataPoint(BaseModel):
    """One value."""

    value: int
