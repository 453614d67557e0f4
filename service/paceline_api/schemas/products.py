"""What /products returns."""

from pydantic import BaseModel, ConfigDict, Field


class ProductItem(BaseModel):
    """One product."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": 1, "name": "Swift Kettle No. 1", "category": "Garden", "price_cents": 8118}]
        }
    )

    id: int
    name: str
    category: str
    price_cents: int


class ProductPage(BaseModel):
    """One page by ascending id."""

    items: list[ProductItem]
    next: int | None = Field(description="Pass it as `after` for the next page; null on the last.")
