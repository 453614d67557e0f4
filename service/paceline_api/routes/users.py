"""Users, whom another service knows. What it says is checked before it goes on: it is not our code."""

from typing import Annotated

from fastapi import APIRouter, Path

from paceline_api.errors import InvalidRequest, NotConfigured, NotFound, UpstreamFailed, UpstreamTooSlow
from paceline_api.routes.dependencies import UpstreamDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.users import User

router = APIRouter(tags=["users"])


@router.get(
    "/users/{user_id}",
    responses=documented(InvalidRequest, NotFound, UpstreamFailed, NotConfigured, UpstreamTooSlow),
)
async def read_user(user_id: Annotated[int, Path(ge=1, lt=2**63)], upstream: UpstreamDep) -> User:
    """One user, from the user directory. Repeated where that may help; 502 and 504 say that it did not."""
    user = await upstream.get(f"/users/{user_id}", User)
    if user is None:
        raise NotFound(f"the user directory knows no user {user_id}")
    return user
