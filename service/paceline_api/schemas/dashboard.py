"""What /dashboard returns, and what each of its services must return for it."""

from pydantic import BaseModel, Field


class Users(BaseModel):
    """Of the user directory."""

    registered: int
    active: int


class Orders(BaseModel):
    """Of the order book."""

    open: int
    shipped: int


class Prices(BaseModel):
    """Of the price list."""

    currency: str
    index: float = Field(description="100 is the year's start.")


class Dashboard(BaseModel):
    """Each part is as its service said a moment ago, or null where it said nothing in time."""

    users: Users | None
    orders: Orders | None
    prices: Prices | None
    degraded: list[str] = Field(description="Names of the parts that are null.", examples=[[], ["prices"]])
