"""Our settings as uvicorn's, where its code reads them."""

from uvicorn.config import Config

from paceline.document.tunables import AdmissionValues
from paceline.serve.binds import Inherited, parse_binds
from paceline.settings import MiddlewareSettings, ServeSettings, Settings


def configure(config: Config, settings: Settings) -> None:
    """Before the server loads its configuration."""
    config.timeout_keep_alive = settings.serve.keepalive_seconds  # type: ignore[assignment] # any number does
    config.root_path = settings.serve.root_path
    config.lifespan = settings.serve.lifespan
    config.server_header = settings.http.server_header
    config.date_header = settings.http.date_header
    config.headers = response_headers(settings.http.response_headers)
    websockets = settings.websockets
    config.ws_max_size = websockets.max_bytes
    config.ws_ping_interval = websockets.ping_seconds or None
    config.ws_ping_timeout = websockets.ping_timeout_seconds or None
    config.ws_per_message_deflate = websockets.per_message_deflate


def response_headers(lines: str) -> list[tuple[str, str]]:
    """`NAME:VALUE` a line as pairs."""
    pairs = (line.partition(":") for line in lines.splitlines())
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def concurrency_bounds(settings: MiddlewareSettings) -> AdmissionValues | None:
    """A limit that does not move, until a tuning document has bounds of its own."""
    limit = settings.limit_concurrency
    return AdmissionValues(limit, limit) if limit else None


def inherited_positions(settings: ServeSettings) -> frozenset[int]:
    """Which of the addresses are sockets that somebody else opened and goes on using."""
    binds = parse_binds(settings.bind, option="--bind")
    return frozenset(position for position, bind in enumerate(binds) if isinstance(bind, Inherited))
