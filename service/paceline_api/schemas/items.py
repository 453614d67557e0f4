"""What /items takes and returns."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from paceline_api.schemas.numbers import Integer


class NewItem(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"sku": "LAMP-7", "name": "Swift Lamp", "quantity": 12}]},
    )

    sku: str = Field(pattern="^[A-Z0-9-]{1,40}$", description="Stock keeping unit; each only once.")
    name: str = Field(pattern=r"^[^\x00]{1,200}$", description="PostgreSQL's text has no zero byte.")
    quantity: Integer = Field(ge=0, lt=2**31)


class Item(NewItem):
    """A stored item."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created_at: datetime


class ItemPage(BaseModel):
    """One page by ascending id."""

    items: list[Item]
    next: int | None = Field(description="Pass it as `after` for the next page; null on the last.")
