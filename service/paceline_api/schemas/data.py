"""What /api/data answers."""

from pydantic import BaseModel


class DataPoint(BaseModel):
    """One value."""

    value: int
