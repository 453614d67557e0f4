"""Our settings where uvicorn's code reads them."""

import pytest
from paceline.serve.worker.configuration import concurrency_bounds, configure, inherited_positions, response_headers
from paceline.settings import HttpSettings, MiddlewareSettings, ServeSettings, Settings, WebSocketSettings
from pydantic import ValidationError
from uvicorn.config import Config


async def app(*_: object) -> None: ...


def test_each_has_its_place() -> None:
    settings = Settings(
        serve=ServeSettings(keepalive_seconds=7, root_path="/api", lifespan="off"),
        http=HttpSettings(server_header=True, date_header=False, response_headers="X-A: 1\nX-B:2"),
        websockets=WebSocketSettings(max_bytes=9, ping_seconds=0, ping_timeout_seconds=3, per_message_deflate=False),
    )
    config = Config(app, log_config=None)
    configure(config, settings)
    assert (config.timeout_keep_alive, config.root_path, config.lifespan) == (7, "/api", "off")
    assert (config.server_header, config.date_header) == (True, False)
    assert config.headers == [("X-A", "1"), ("X-B", "2")]
    assert (config.ws_max_size, config.ws_ping_interval, config.ws_ping_timeout) == (9, None, 3)
    assert config.ws_per_message_deflate is False


def test_defaults_are_what_uvicorn_does_by_itself_but_for_its_name() -> None:
    ours, theirs = Config(app, log_config=None), Config(app, log_config=None, server_header=False)
    configure(ours, Settings())
    differing = {name for name, value in vars(theirs).items() if vars(ours)[name] != value}
    assert differing == set()


def test_no_headers() -> None:
    assert response_headers("") == []


@pytest.mark.parametrize("lines", ["X-A", "X-A: 1\n", "X A: 1", "X-A: 1\r\nX-B: 2", ": 1", "X-A: \x00"])
def test_headers_that_cannot_be_sent_are_refused(lines: str) -> None:
    with pytest.raises(ValidationError):
        HttpSettings(response_headers=lines)


def test_a_limit_that_does_not_move() -> None:
    assert concurrency_bounds(MiddlewareSettings()) is None
    bounds = concurrency_bounds(MiddlewareSettings(limit_concurrency=3))
    assert bounds is not None
    assert (bounds.min, bounds.max) == (3, 3)


def test_which_sockets_are_others() -> None:
    assert inherited_positions(ServeSettings(bind="fd://7,:8000,fd://8")) == {0, 2}
