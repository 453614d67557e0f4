"""The middleware in front of the application: pure ASGI, one class a file, composed here, outermost first."""

from collections.abc import Callable
from functools import partial

from paceline.asgi import ASGIApp
from paceline.middleware.access_log import AccessLogMiddleware, Write
from paceline.middleware.admission import AdmissionMiddleware, send_overloaded
from paceline.middleware.body_limit import BodyLimitMiddleware, parse_routes
from paceline.middleware.measure import MeasureMiddleware
from paceline.middleware.middleware import Middleware
from paceline.middleware.process_time import ProcessTimeMiddleware
from paceline.middleware.request_id import RequestIdMiddleware
from paceline.middleware.response_cache import CachedRoute, ResponseCacheMiddleware
from paceline.middleware.security_headers import SecurityHeadersMiddleware
from paceline.middleware.timeout import TimeoutMiddleware
from paceline.middleware.trusted_proxies import TrustedProxiesMiddleware
from paceline.resources.admission.limiter import Admission
from paceline.settings import MiddlewareSettings
from paceline.telemetry.framework_routes import name_routes
from paceline.telemetry.requests import RequestStats
from paceline.telemetry.tracing import Tracing
from paceline.trusted_peers import TrustedPeers

__all__ = [
    "CachedRoute",
    "ProcessTimeMiddleware",
    "RequestIdMiddleware",
    "ResponseCacheMiddleware",
    "SecurityHeadersMiddleware",
    "TrustedProxiesMiddleware",
    "instrument",
]


MiddlewareFactory = Callable[[ASGIApp], Middleware]


def instrument(
    app: ASGIApp,
    settings: MiddlewareSettings,
    *,
    requests: RequestStats,
    tracing: Tracing,
    generation: Callable[[], int],
    admission: Admission | None = None,
    access_log: Write | None = None,
) -> Middleware:
    """The application with the middleware of `paceline serve` in front. What is off is not there.

    Args:
        generation: the generation that this process runs at the moment; spans carry it.
        access_log: gets every request when its response is complete; None: there is no access log.
    """
    name_routes()
    proxies = partial(
        TrustedProxiesMiddleware, trusted=TrustedPeers(settings.trusted_proxies), header=settings.forwarded_by
    )
    refusal = proxies(RequestIdMiddleware(send_overloaded))
    stack: list[MiddlewareFactory] = [
        # Before all measuring: who is turned away is neither an error nor a duration.
        *([partial(AdmissionMiddleware, admission=admission, refusal=refusal)] if admission else []),
        # Before the proxies, for it asks whether the true peer may say that a request is sampled.
        partial(MeasureMiddleware, requests=requests, tracing=tracing, generation=generation),
        *_if(settings.process_time, ProcessTimeMiddleware),
        proxies,
        *_if(settings.request_id, RequestIdMiddleware),
        *([partial(AccessLogMiddleware, write=access_log)] if access_log else []),
        *_if(settings.security_headers, SecurityHeadersMiddleware),
        *_if(
            settings.request_timeout_seconds > 0, partial(TimeoutMiddleware, seconds=settings.request_timeout_seconds)
        ),
        *_if(
            settings.max_body_bytes > 0 or bool(settings.body_limits),
            partial(BodyLimitMiddleware, most_bytes=settings.max_body_bytes, routes=parse_routes(settings.body_limits)),
        ),
    ]
    outermost, *others = stack
    for wrap in reversed(others):
        app = wrap(app).handle  # the method: a call of the instance costs several times as much
    return outermost(app)


def _if(wanted: bool, wrap: MiddlewareFactory) -> list[MiddlewareFactory]:
    return [wrap] if wanted else []
