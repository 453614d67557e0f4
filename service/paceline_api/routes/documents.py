"""Documents in MongoDB: stored as they come, listed page by page."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

from bson import ObjectId
from fastapi import APIRouter, Path, Query, Response

from paceline_api.errors import InvalidRequest, NotConfigured, NotFound, Unavailable
from paceline_api.routes.dependencies import MongoDep
from paceline_api.schemas.documents import OBJECT_ID, Document, DocumentPage, NewDocument
from paceline_api.schemas.errors import documented
from paceline_api.schemas.headers import LOCATION

router = APIRouter(tags=["documents"], responses=documented(InvalidRequest, Unavailable, NotConfigured))

_COLLECTION: Final = "documents"


@router.get("/documents")
async def list_documents(
    mongo: MongoDep,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    after: Annotated[str, Query(pattern=OBJECT_ID, description="`next` of the page before.")] = "0" * 24,
) -> DocumentPage:
    """One page, oldest first, after the id given. An ObjectId grows with time, and the server keeps an index of it."""
    cursor = mongo[_COLLECTION].find({"_id": {"$gt": ObjectId(after)}}).sort("_id").limit(limit)
    items = [_document(found) for found in await cursor.to_list()]
    return DocumentPage(items=items, next=items[-1].id if len(items) == limit else None)


@router.post("/documents", status_code=201, responses=LOCATION)
async def create_document(new: NewDocument, mongo: MongoDep, response: Response) -> Document:
    """Stores a document. `Location` says where it is."""
    content = {**new.model_dump(), "created_at": _now()}
    stored = await mongo[_COLLECTION].insert_one(content)
    response.headers["Location"] = f"/documents/{stored.inserted_id}"
    return _document(content)  # pymongo put the `_id` in


@router.get("/documents/{document_id}", responses=documented(NotFound))
async def read_document(document_id: Annotated[str, Path(pattern=OBJECT_ID)], mongo: MongoDep) -> Document:
    """One document."""
    found = await mongo[_COLLECTION].find_one({"_id": ObjectId(document_id)})
    if found is None:
        raise NotFound(f"there is no document {document_id}")
    return _document(found)


def _document(stored: dict[str, Any]) -> Document:
    return Document.model_validate({**stored, "id": str(stored["_id"])})


def _now() -> datetime:
    """MongoDB keeps milliseconds."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
