"""CPU work, in processes of its own: on the event loop it would hold up every other request of the worker."""

from fastapi import APIRouter, Request, Response
from paceline.errors import PoolFull

from paceline_api.errors import Busy, InvalidRequest
from paceline_api.mandelbrot import escape_counts
from paceline_api.routes.connected import while_connected
from paceline_api.routes.dependencies import ProcessesDep
from paceline_api.schemas.errors import documented
from paceline_api.schemas.process import Tile, TileRequest

router = APIRouter(tags=["process"], responses=documented(InvalidRequest, Busy))


@router.post("/process", response_model=Tile)
async def process(tile: TileRequest, request: Request, processes: ProcessesDep) -> Tile | Response:
    """A tile of the Mandelbrot set. A client that hangs up stops the work."""
    work = processes.run(escape_counts, tile.real, tile.imaginary, tile.span, tile.size, tile.iterations)
    try:
        rows = await while_connected(request, work)
    except PoolFull as full:
        raise Busy(str(full), full.retry_after_seconds) from full
    return Response(status_code=499) if rows is None else Tile(rows=rows)
