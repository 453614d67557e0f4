"""What /products answers."""

from pydantic import BaseModel, Field


class ProductItem(BaseModel):
    """One product."""

    id: int
    name: str
    category: str
    price_cents: int


class ProductPage(BaseModel):
    """One page by ascending id."""

    items: list[ProductItem]
    next: int | None = Field(description="Pass it as `after` for the next page; null on the last.")
