"""Three services asked at the same time: the response takes as long as the slowest, not as long as all together.

Partial failure: a part that could not be had is null and named in `degraded`; where none could, the response is 502.
"""

import asyncio
import logging
from typing import Final

from fastapi import APIRouter
from pydantic import BaseModel

from paceline_api.connections.upstream import Upstream
from paceline_api.errors import NotConfigured, UpstreamFailed, UpstreamTooSlow
from paceline_api.routes.dependencies import UpstreamDep
from paceline_api.schemas.dashboard import Dashboard, Orders, Prices, Users
from paceline_api.schemas.errors import documented

logger = logging.getLogger(__name__)
router = APIRouter(tags=["dashboard"])

_PARTS: Final[dict[str, type[BaseModel]]] = {"users": Users, "orders": Orders, "prices": Prices}


@router.get("/dashboard", responses=documented(UpstreamFailed, NotConfigured))
async def dashboard(upstream: UpstreamDep) -> Dashboard:
    """Figures of three services. Look at `degraded` before you draw conclusions."""
    async with asyncio.TaskGroup() as group:
        tasks = {name: group.create_task(_part(upstream, name, shape)) for name, shape in _PARTS.items()}
    parts = {name: task.result() for name, task in tasks.items()}
    degraded = [name for name, part in parts.items() if part is None]
    if len(degraded) == len(parts):
        raise UpstreamFailed(f"none of {', '.join(degraded)} could be had")
    return Dashboard.model_validate({**parts, "degraded": degraded})


async def _part(upstream: Upstream, name: str, shape: type[BaseModel]) -> BaseModel | None:
    """One part, or None: a failure that leaves a TaskGroup's task cancels its siblings, so this one stays inside."""
    try:
        return await upstream.get(f"/{name}", shape)
    except (UpstreamFailed, UpstreamTooSlow) as error:
        logger.warning("dashboard without %s: %s (%r)", name, error, error.__cause__)
        return None
