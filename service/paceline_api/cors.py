"""Which web pages may read responses: Starlette's middleware, where `API_CORS_ORIGINS` names any."""

from typing import Final

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from paceline_api.settings import CorsSettings

_READABLE: Final = ("Age", "Cache-Status", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-ID")


def cors(app: ASGIApp, settings: CorsSettings | None) -> ASGIApp:
    """The application behind the middleware, or the application itself. Without `settings` it reads the environment.

    No credentials: tokens travel in `Authorization`, which a page sends by itself.
    """
    origins = [origin.strip() for origin in (settings or CorsSettings()).origins.split(",") if origin.strip()]
    if not origins:
        return app
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=("*",), allow_headers=("*",), expose_headers=_READABLE
    )
