"""The layers in front of the application: pure ASGI, one class a file, composed here, outermost first."""

from collections.abc import Callable

from paceline.middleware.asgi import ASGIApp
from paceline.middleware.cached_route import CachedRoute
from paceline.middleware.measure import MeasureRequests
from paceline.middleware.response_cache import ResponseCache
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing

__all__ = ["ASGIApp", "CachedRoute", "ResponseCache", "instrument"]


def instrument(app: ASGIApp, *, requests: RequestStats, tracing: Tracing, generation: Callable[[], int]) -> ASGIApp:
    """The application with the default layers in front.

    Args:
        generation: the generation that this process runs at the moment; spans carry it.
    """
    return MeasureRequests(app, requests=requests, tracing=tracing, generation=generation)
