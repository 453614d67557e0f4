"""What /documents takes and returns."""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

OBJECT_ID: Final = "^[0-9a-f]{24}$"


class NewDocument(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"title": "Returns", "body": "Within 30 days.", "tags": ["policy"]}]},
    )

    title: str = Field(min_length=1, max_length=200)
    body: str = Field(max_length=50_000)
    tags: list[Annotated[str, Field(min_length=1, max_length=50)]] = Field(default_factory=list, max_length=20)


class Document(BaseModel):
    """A stored document."""

    id: str = Field(pattern=OBJECT_ID, examples=["6742f0a53f1c2d4e5a6b7c8d"])
    title: str
    body: str
    tags: list[str]
    created_at: datetime


class DocumentPage(BaseModel):
    """One page, oldest first."""

    items: list[Document]
    next: str | None = Field(description="Pass it as `after` for the next page; null on the last.")
