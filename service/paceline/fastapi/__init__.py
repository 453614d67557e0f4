"""FastAPI routes that cost a third: what FastAPI works out for every request is worked out once.

    app = FastAPI()
    ...
    paceline.fastapi.compile_routes(app)

or `APIRouter(route_class=CompiledRoute)`. `paceline check` says which routes are left to FastAPI, and why.
"""

from paceline.fastapi.route import CompiledRoute, compile_routes

__all__ = ["CompiledRoute", "compile_routes"]
