"""The reference API, wired in one place. Importing it opens nothing; `paceline serve paceline_api.app:app` runs it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from paceline import tune
from paceline.fastapi import compile_routes
from paceline.middleware import RequestIdMiddleware, ResponseCacheMiddleware
from starlette.middleware import Middleware

from paceline_api.connections import State, opened
from paceline_api.cors import cors
from paceline_api.documentation import TAGS, operation_id
from paceline_api.problems import handle_errors
from paceline_api.rate_limit import RateLimitLayer
from paceline_api.routes import build_router
from paceline_api.routes.expensive_data import CACHED
from paceline_api.settings import Settings, load_settings
from paceline_api.ticker import publish_prices


def middleware(settings: Settings | None) -> list[Middleware]:
    """What stands in front of the routes, outermost first; pure ASGI only. Made when the application starts."""
    return [
        Middleware(RequestIdMiddleware),
        Middleware(cors, settings=settings.cors if settings else None),
        Middleware(RateLimitLayer, prefix="/api/"),
        Middleware(ResponseCacheMiddleware, routes=CACHED, shared=tuple(State.__annotations__)),
    ]


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application. Without `settings` its lifespan reads the environment."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[State]:
        async with opened(settings or load_settings()) as state:
            yield state

    app = FastAPI(
        title="Paceline reference API",
        description="How an async API looks whose workers, pools and caches are tuned while it runs.",
        version="0.1.0",
        openapi_tags=TAGS,
        generate_unique_id_function=operation_id,
        lifespan=lifespan,
        redirect_slashes=False,  # its redirects would lead to whatever Host the client named
        middleware=middleware(settings),
        telemetry={"tracing": False, "metrics": False, "logs": False},  # Paceline's own is cheaper and keeps failures
    )
    app.include_router(build_router())
    handle_errors(app)
    compile_routes(app)
    return app


app = create_app()
tune.once_per_pod(publish_prices)
